/* The asked signature, and the likeliest way not gone yet after a failure. */
#include "tests/agent/play.h"

/* ---- the signature ---- */

/* The whole line for a tiny model, from "def" on, and only once. */
static void a_tiny_model_cannot_miscopy_the_asked_signature(void **fixture)
{
    for (int n = 1; n <= BURST_MAX; n += 4) {
        PLAY({"a\n</think>" CALL("import re\ndef    return 2 * x\ndef other(): pass"), false},
             {"b" OPENED("def    return 2 * x"), false});
        p->tape.n_burst = n;
        p->tape.n_params = 5000000;
        play(p, TASK);
        ends(p, AGENT_ANSWERED, GOOD);
        has(p, p->session, "import re\ndef double(x):\n    return 2 * x\ndef other(): pass");
        release(p);
    }
}

static const char STUB[] = "Complete:\n```python\ndef double(x, times: int = 2) -> int:\n"
                           "    \"\"\"double(3) returns 6\"\"\"\n```";

/* Another model is held to a stub once it has written the name: not before, since it may
 * begin with a helper, and not to what a sentence says. */
static void a_stub_is_the_signature_for_any_model(void **fixture)
{
    for (int n = 1; n <= BURST_MAX; n += 4) {
        PLAY({"a\n</think>\n\n```python\ndef help():\n    pass\n"
              "def double(    return x * times\n```",
              false});
        p->tape.n_burst = n;
        play(p, STUB);
        ends(p, AGENT_ANSWERED, "def double(x, times: int = 2) -> int:\n    return x * times");
        has(p, p->session, "def help():\n    pass\ndef double(x, times");
        release(p);
    }
}

static void a_signature_of_a_sentence_or_without_the_option_is_the_models_choice(void **fixture)
{
    static const char *const tasks[] = {TASK, STUB};
    for (size_t i = 0; i < COUNT(tasks); i++) {
        PLAY({"a\n</think>\n\n" BLOCK("def double(y):\n    return 2 * y"), false});
        p->opts.keeps_signature = i == 0;
        play(p, tasks[i]);
        ends(p, AGENT_ANSWERED, "def double(y):\n    return 2 * y");
        release(p);
    }
}

/* ---- branching ---- */

/* The tape's later turns begin behind what is appended: the way up to the fork. */
static void after_a_failure_a_tiny_model_goes_the_likeliest_way_not_gone(void **fixture)
{
    PLAY({"add it\n</think>\n\n" CALL("def    return x + 2"), false},
         {"ul it\n</think>\n\n" CALL("def    return 2 * x"), false},
         {"ok" OPENED("def    return 2 * x"), false});
    static const struct fake_doubt doubts[] = {
        {0, 0, 'm', 1},
        {0, 4, 's', 2}
    };
    p->tape.n_params = 5000000;
    p->tape.doubts = doubts;
    p->tape.n_doubts = COUNT(doubts);
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_int_equal(p->result.n_iterations, 3);
    has(p, p->notices.p, "the likeliest way not gone yet");
    has(p, p->think.p, "mul it");
    hasnt(p->session, "add it");
    for (size_t i = 0; i < p->seen.n_decoded; i++) {
        assert_true(p->seen.temp[i] <= 0);
    }
    release(p);
}

#define CALL_HEAD "<tool_call>\n<function=code_execution>\n<parameter=code>\n"
#define CALL_TAIL "\n</parameter>\n</function>\n</tool_call>"

/* A tiny model in doubt about the sign in the code of the tape's first turn. */
static void doubt_the_sign(struct play *p, struct fake_doubt *doubt)
{
    static const char before[] = "plan\n</think>" CALL_HEAD "def    return x ";
    /* </think> and <tool_call> are one token each */
    const size_t at = strlen(before) - strlen("</think><tool_call>") + 2;
    *doubt = (struct fake_doubt){0, at, '*', 1};
    p->tape.n_params = 5000000;
    p->tape.doubts = doubt;
    p->tape.n_doubts = 1;
}

static void a_way_within_the_code_keeps_the_plan(void **fixture)
{
    PLAY({"plan\n</think>" CALL("def    return x + 2"), false}, {" 2" CALL_TAIL, false},
         {"ok" OPENED("def    return x * 2"), false});
    struct fake_doubt doubt;
    doubt_the_sign(p, &doubt);
    play(p, TASK);
    ends(p, AGENT_ANSWERED, "def double(x):\n    return x * 2");
    assert_int_equal(p->result.n_iterations, 3);
    assert_int_equal(p->result.n_tool_calls, 2);
    hasnt(p->session, "x + 2");
    has(p, p->session,
        "plan\n</think>\n\n" CALL_HEAD "def double(x):\n    return x * 2" CALL_TAIL);
    release(p);
}

static void the_last_step_takes_a_way_within_the_code_to_the_answer(void **fixture)
{
    PLAY({"plan\n</think>" CALL("def    return x + 2"), false}, {" 2\n```", false});
    struct fake_doubt doubt;
    doubt_the_sign(p, &doubt);
    p->opts.limits.max_iter = 2;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, "def double(x):\n    return x * 2");
    has(p, p->session, "plan\n</think>\n\n```python\ndef double(x):\n    return x * 2\n```");
    release(p);
}

static void a_program_that_cannot_run_is_not_run_on_the_way(void **fixture)
{
    PLAY({"plan\n</think>" CALL("def    return x + y"), false}, {" 2" CALL_TAIL, false},
         {"ok" OPENED("def    return x * 2"), false});
    struct fake_doubt doubt;
    doubt_the_sign(p, &doubt);
    play(p, TASK);
    ends(p, AGENT_ANSWERED, "def double(x):\n    return x * 2");
    has(p, p->notices.p, "nothing binds the name 'y'; thinking again");
    assert_int_equal(p->result.n_iterations, 2);
    assert_int_equal(p->result.n_tool_calls, 1);
    release(p);
}

static void an_attempt_less_likely_than_another_way_waits(void **fixture)
{
    struct play *p = &the_play;
    struct fake_doubt doubts[COUNT(WAITING_DOUBTS)];
    wait_with(p, doubts, 0);
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->notices.p, "that program waits: likelier ones may be left; thinking again");
    has(p, p->notices.p, "the likeliest of the programs that wait");
    assert_int_equal(p->result.n_iterations, 4);
    assert_int_equal(p->result.n_tool_calls, 3);
    has(p, p->session,
        "mul it\n</think>\n\n" CALL_HEAD "def double(x):\n    return 2 * x" CALL_TAIL);
    hasnt(p->session, "sub it");
    release(p);
}

/* The tape ends with the third attempt: what waited is not decoded again. */
static void the_last_step_answers_with_what_waits(void **fixture)
{
    struct play *p = &the_play;
    struct fake_doubt doubts[COUNT(WAITING_DOUBTS)];
    struct fake_turn turns[COUNT(WAITING)];
    memcpy(turns, WAITING, sizeof turns);
    turns[3] = (struct fake_turn){"\n```", false};
    wait_with(p, doubts, 0);
    p->tape.turns = turns;
    p->opts.limits.max_iter = 3;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_int_equal(p->result.n_tool_calls, 2);
    has(p, p->session, "mul it\n</think>\n\n```python\ndef double(x):\n    return 2 * x\n```");
    release(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tiny_model_cannot_miscopy_the_asked_signature),
        cmocka_unit_test(a_stub_is_the_signature_for_any_model),
        cmocka_unit_test(a_signature_of_a_sentence_or_without_the_option_is_the_models_choice),
        cmocka_unit_test(after_a_failure_a_tiny_model_goes_the_likeliest_way_not_gone),
        cmocka_unit_test(a_way_within_the_code_keeps_the_plan),
        cmocka_unit_test(the_last_step_takes_a_way_within_the_code_to_the_answer),
        cmocka_unit_test(a_program_that_cannot_run_is_not_run_on_the_way),
        cmocka_unit_test(an_attempt_less_likely_than_another_way_waits),
        cmocka_unit_test(the_last_step_answers_with_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
