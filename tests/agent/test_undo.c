/* test_undo.c - conversations from a tape: what is stopped, taken back, sent again. */
#include "tests/agent/talk_rig.h"

#include <pthread.h>

/* ---- stopping ---- */

static void a_stop_keeps_what_was_said_and_the_next_message_follows(void **fixture)
{
    RIG(PROSE("A long tale of many words"), PROSE("Yes."));
    r->tape.stop_after = 16 + 12;
    start(r);
    say(r, "Tell.", AGENT_INTERRUPTED);
    assert_true(talk_info(r->talk).was_kept);
    r->stop_now = 0;
    say(r, "Still there?", AGENT_ANSWERED);
    char *s = held(r);
    const char *tale = strstr(s, "A long tale");
    assert_non_null(tale);
    assert_non_null(strstr(tale, "<|im_end|>\n<|im_start|>user\nStill there?<|im_end|>\n"));
    assert_null(strstr(s, "many words"));
    free(s);
    rig_release(r);
}

static void a_stop_inside_thinking_closes_it(void **fixture)
{
    RIG({"I wonder and wonder about this", false}, PROSE("Yes."));
    r->tape.stop_after = 10;
    start(r);
    say(r, "Tell.", AGENT_INTERRUPTED);
    r->stop_now = 0;
    say(r, "Still there?", AGENT_ANSWERED);
    char *s = held(r);
    assert_non_null(strstr(s, "I wonder"));
    assert_non_null(strstr(s, "\n</think>\n\n<|im_end|>\n<|im_start|>user\nStill there?"));
    free(s);
    rig_release(r);
}

static void a_message_that_was_stopped_at_once_leaves_no_trace(void **fixture)
{
    RIG(PROSE("Yes."), PROSE("Yes."));
    start(r);
    say(r, "First.", AGENT_ANSWERED);
    const int64_t n = talk_info(r->talk).n_tokens;
    talk_stop(r->talk);
    agent_result_release(&r->result);
    assert_int_equal(talk_send(r->talk, STR("Never mind"), &r->result, &r->e), QA_OK);
    assert_int_equal(r->result.outcome, AGENT_INTERRUPTED);
    assert_false(talk_info(r->talk).was_kept);
    assert_int_equal(talk_info(r->talk).n_tokens, n);
    assert_int_equal(talk_info(r->talk).n_messages, 1);
    log_agrees(r);
    say(r, "Second.", AGENT_ANSWERED);
    rig_release(r);
}

/* Ends the program of r's talk once it has made the file "here". */
static void *enough_of_it(void *ctx)
{
    struct rig *r = ctx;
    char path[128];
    snprintf(path, sizeof path, "%s/here", r->dir);
    while (access(path, F_OK)) {
        usleep(2000);
    }
    talk_stop_program(r->talk);
    return NULL;
}

static void a_stopped_program_is_no_stopped_run(void **fixture)
{
    RIG({NULL, false}, PROSE("It never ends."), PROSE("Yes."));
    struct fake_turn own[COUNT(turns)];
    char call[400];
    pthread_t thread;
    memcpy(own, turns, sizeof turns);
    snprintf(call, sizeof call,
             "Try.\n</think>\n\n" CALL("import time\nprint(\"so far\", flush=True)\n"
                                       "open(\"%s/here\", \"w\")\ntime.sleep(600)"),
             r->dir);
    own[0].text = call;
    r->tape.turns = own;
    start(r);
    assert_int_equal(pthread_create(&thread, NULL, enough_of_it, r), 0);
    say(r, "Does it end?", AGENT_ANSWERED);
    pthread_join(thread, NULL);
    assert_string_equal(r->result.answer, "It never ends.");
    char *s = held(r);
    assert_non_null(strstr(s, "<tool_response>\nso far\n[interrupted]\n</tool_response>"));
    free(s);
    say(r, "Still there?", AGENT_ANSWERED);
    rig_release(r);
}

/* ---- undo, retry, fork, new ---- */

static void undo_is_a_rewind_and_computes_nothing(void **fixture)
{
    RIG(PROSE("One."), PROSE("Two."), PROSE("Other."));
    char *text = NULL;
    start(r);
    say(r, "First?", AGENT_ANSWERED);
    const int64_t n = talk_info(r->talk).n_tokens;
    say(r, "Second?", AGENT_ANSWERED);
    const size_t appended = fake_engine_log(r->engine)->n_appended;
    assert_int_equal(talk_undo(r->talk, &text, &r->e), QA_OK);
    assert_string_equal(text, "Second?");
    free(text);
    assert_int_equal(talk_info(r->talk).n_tokens, n);
    assert_int_equal(fake_engine_log(r->engine)->n_appended, appended);
    log_agrees(r);
    say(r, "Third?", AGENT_ANSWERED);
    char *s = held(r);
    assert_null(strstr(s, "Second?"));
    assert_non_null(strstr(s, "Third?"));
    free(s);
    rig_release(r);
}

static void undo_reaches_back_past_the_marks(void **fixture)
{
    enum { N = 12 };
    static const struct fake_turn turns[N + 1] = {
        PROSE("a"), PROSE("b"), PROSE("c"), PROSE("d"), PROSE("e"), PROSE("f"), PROSE("g"),
        PROSE("h"), PROSE("i"), PROSE("j"), PROSE("k"), PROSE("l"), PROSE("m")};
    struct rig *r = &the_rig;
    int64_t n[N];
    char *text = NULL;
    rig_init(r, turns, N + 1);
    start(r);
    for (int i = 0; i < N; i++) {
        char message[16];
        n[i] = talk_info(r->talk).n_tokens;
        snprintf(message, sizeof message, "Number %d?", i);
        say(r, message, AGENT_ANSWERED);
    }
    for (int i = N - 1; i >= 0; i--) {
        assert_int_equal(talk_undo(r->talk, &text, &r->e), QA_OK);
        free(text);
        assert_int_equal(talk_info(r->talk).n_tokens, n[i]);
        log_agrees(r);
    }
    assert_int_equal(talk_undo(r->talk, &text, &r->e), QA_E_USAGE);
    say(r, "Anew?", AGENT_ANSWERED);
    rig_release(r);
}

static void rewind_takes_several_back_and_redo_brings_them_again(void **fixture)
{
    RIG(PROSE("One."), PROSE("Two."), PROSE(BLOCK(GOOD)), PROSE("Other."));
    char *text = NULL;
    start(r);
    say(r, "First?", AGENT_ANSWERED);
    const int64_t n_first = talk_info(r->talk).n_tokens;
    say(r, "Second?", AGENT_ANSWERED);
    say(r, TASK, AGENT_ANSWERED);
    const int64_t n_all = talk_info(r->talk).n_tokens;
    char *before = held(r);
    assert_int_equal(talk_rewind(r->talk, 3, &text, &r->e), QA_E_USAGE);
    assert_int_equal(talk_rewind(r->talk, 1, &text, &r->e), QA_OK);
    assert_string_equal(text, "Second?");
    free(text);
    assert_int_equal(talk_info(r->talk).n_tokens, n_first);
    log_agrees(r);
    assert_int_equal(talk_redo(r->talk, &r->e), QA_OK);
    assert_string_equal(talk_get(r->talk, 1).answer.p, "Two.");
    assert_int_equal(talk_redo(r->talk, &r->e), QA_OK);
    assert_int_equal(talk_redo(r->talk, &r->e), QA_E_USAGE);
    assert_int_equal(talk_info(r->talk).n_tokens, n_all);
    assert_string_equal(talk_get(r->talk, 2).code.p, GOOD);
    log_agrees(r);
    char *after = held(r);
    assert_string_equal(after, before);
    free(before);
    free(after);
    /* Something new: what was taken back is gone. */
    assert_int_equal(talk_undo(r->talk, &text, &r->e), QA_OK);
    free(text);
    say(r, "Third?", AGENT_ANSWERED);
    assert_int_equal(talk_redo(r->talk, &r->e), QA_E_USAGE);
    log_agrees(r);
    rig_release(r);
}

static void retry_sends_the_same_message_and_samples(void **fixture)
{
    RIG(PROSE("One."), PROSE("Two."));
    r->tape.n_params = 1000000; /* greedy at first */
    start(r);
    say(r, "First?", AGENT_ANSWERED);
    assert_true(fake_engine_log(r->engine)->temp[0] <= 0);
    const size_t n = fake_engine_log(r->engine)->n_decoded;
    agent_result_release(&r->result);
    assert_int_equal(talk_retry(r->talk, &r->result, &r->e), QA_OK);
    assert_string_equal(r->result.answer, "Two.");
    assert_true(fake_engine_log(r->engine)->temp[n] > 0);
    assert_int_equal(talk_info(r->talk).n_messages, 1);
    log_agrees(r);
    rig_release(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stop_keeps_what_was_said_and_the_next_message_follows),
        cmocka_unit_test(a_stop_inside_thinking_closes_it),
        cmocka_unit_test(a_message_that_was_stopped_at_once_leaves_no_trace),
        cmocka_unit_test(a_stopped_program_is_no_stopped_run),
        cmocka_unit_test(undo_is_a_rewind_and_computes_nothing),
        cmocka_unit_test(undo_reaches_back_past_the_marks),
        cmocka_unit_test(rewind_takes_several_back_and_redo_brings_them_again),
        cmocka_unit_test(retry_sends_the_same_message_and_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
