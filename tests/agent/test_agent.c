/* test_agent.c - whole runs from a tape: the loop, its outcomes, its budgets. */
#include "tests/agent/play.h"

/* ---- the straight ways ---- */

static void an_answer_at_once_is_executed_and_handed_out(void **fixture)
{
    PLAY({"Twice.\n</think>\n\n" BLOCK(GOOD), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_string_equal(p->result.answer, BLOCK(GOOD));
    assert_string_equal(p->think.p, "Twice.");
    assert_int_equal(p->result.n_iterations, 1);
    assert_int_equal(p->result.n_tool_calls, 0);
    release(p);
}

static void one_call_then_the_answer(void **fixture)
{
    PLAY({"Twice.\n</think>\n\n" CALL(GOOD "\n\nassert double(3) == 6\nprint(\"ok\")"), false},
         {"The checks pass." OPENED(GOOD), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_string_equal(p->tool.p, "ok|");
    assert_string_equal(p->code.p, GOOD "\n\nassert double(3) == 6\nprint(\"ok\")");
    assert_int_equal(p->result.n_iterations, 2);
    assert_int_equal(p->result.n_tool_calls, 1);
    assert_string_equal(p->notices.p, "");
    release(p);
}

/* What the loop appended and what was sampled, together, is what the official template
 * renders for the same conversation. */
static void the_token_stream_is_what_the_template_renders(void **fixture)
{
    PLAY({"Plan.\n</think>" CALL(BAD "\nassert double(3) == 6"), false},
         {"I see.\n</think>" CALL(GOOD "\nassert double(3) == 6\nprint('<' + '|im_end|>')"),
          false},
         {"Done." OPENED(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    json_t *messages = json_pack(
        "[{s:s, s:s}, {s:s, s:s}, {s:s, s:s, s:s, s:[{s:s, s:{s:s}}]}, {s:s, s:s},"
        " {s:s, s:s, s:s, s:[{s:s, s:{s:s}}]}, {s:s, s:s}, {s:s, s:s, s:s}]",
        "role", "system", "content", qa_prompt_system, "role", "user", "content", TASK, "role",
        "assistant", "reasoning_content", "Plan.", "content", "", "tool_calls", "name",
        "code_execution", "arguments", "code", BAD "\nassert double(3) == 6", "role", "tool",
        "content",
        "Traceback (most recent call last):\n  File \"cell.py\", line 3, in <module>\n"
        "    assert double(3) == 6\nAssertionError\n[exit code 1]",
        "role", "assistant", "reasoning_content", "I see.", "content", "", "tool_calls", "name",
        "code_execution", "arguments", "code",
        GOOD "\nassert double(3) == 6\nprint('<' + '|im_end|>')", "role", "tool", "content",
        "<|im_end|>", "role", "assistant", "reasoning_content", "Done.", "content",
        BLOCK(GOOD));
    json_t *tool = json_loads(qa_prompt_tools, JSON_DISABLE_EOF_CHECK, NULL);
    json_t *tools = json_pack("[o]", tool);
    struct chat_text t;
    struct ids ids = {0};
    struct err e = {0};
    assert_non_null(messages);
    chat_text_init(&t);
    assert_int_equal(chat_render(&t, messages, tools, &(struct chat_opts){0}, &e), QA_OK);
    /* The model's last token is <|im_end|>; the template's newline after it comes later. */
    assert_int_equal(t.bytes.n, strlen(p->session) + 1);
    assert_memory_equal(t.bytes.p, p->session, strlen(p->session));
    assert_int_equal(chat_encode(p->engine, &t, &ids, &e), QA_OK);
    assert_int_equal(ids.n, p->ids.n + 1);
    assert_memory_equal(ids.p, p->ids.p, p->ids.n * sizeof *ids.p);
    ids_release(&ids);
    chat_text_release(&t);
    json_decref(messages);
    json_decref(tools);
    release(p);
}

/* ---- the form is kept by the sampler ---- */

static void a_turn_cannot_end_inside_thinking(void **fixture)
{
    PLAY({"I am done.<|im_end|>\n\n" BLOCK(GOOD), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "I am done.</think>\n\n");
    release(p);
}

static void a_call_inside_thinking_closes_the_thinking_first(void **fixture)
{
    PLAY({"Try. " CALL(GOOD), false}, {"ok" OPENED(GOOD), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "Try. </think>");
    hasnt(p->session, "Try. <tool_call>");
    assert_int_equal(p->result.n_tool_calls, 1);
    release(p);
}

static void a_turn_cannot_end_before_there_is_text(void **fixture)
{
    PLAY({"x\n</think>\n\n<|im_end|>" BLOCK(GOOD), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    release(p);
}

static void control_tokens_are_never_sampled_where_they_have_no_place(void **fixture)
{
    PLAY({"a<|im_start|>b<tool_response>c\n</think>\n\n<think>" BLOCK(GOOD) "</tool_call>",
          false});
    play(p, TASK);
    hasnt(p->session + strlen(p->session) / 2, "<tool_response>");
    release(p);
}

static void endless_thinking_is_closed_at_its_budget(void **fixture)
{
    PLAY({"and then I wonder whether ", true}, {"x\n</think>\n\n" BLOCK(GOOD), false});
    p->opts.limits.think_tokens = 100;
    p->opts.limits.max_iter = 1;
    play(p, TASK);
    has(p, p->notices.p, "thinking was closed");
    assert_true(p->think.n <= 101 && p->think.n >= 90);
    release(p);
}

static void thinking_is_closed_at_the_end_of_a_sentence_before_its_budget(void **fixture)
{
    PLAY({"0123456789012345678901234567890123456789012345678901234567890123456789012345678901. "
          "No "
          "more of this, it goes on and on and never ends, as thoughts do at night when it "
          "rains",
          false});
    p->opts.limits.think_tokens = 100;
    p->opts.limits.max_iter = 1;
    play(p, TASK);
    assert_int_equal(p->think.n, 83);
    release(p);
}

static void thinking_in_circles_is_closed(void **fixture)
{
    PLAY({"Wait. ", true});
    p->opts.limits.think_tokens = 100000;
    p->opts.limits.max_iter = 1;
    play(p, TASK);
    has(p, p->notices.p, "thinking was closed");
    assert_true(p->think.n < 1000);
    release(p);
}

static void thinking_and_code_are_sampled_with_different_settings(void **fixture)
{
    PLAY({"plan\n</think>\n\n" BLOCK(GOOD), false});
    p->opts.sampling.temp = 0.7f;
    play(p, TASK);
    assert_true(p->seen.temp[0] > 0.69f && p->seen.temp[3] > 0.69f);
    assert_true(p->seen.temp[p->seen.n_decoded - 1] <= 0);
    release(p);
}

static void a_tiny_model_begins_greedy_and_samples_when_it_thinks_afresh(void **fixture)
{
    PLAY({"plan\n</think>\n\n" CALL("def(x):\n    return x + 2"), false},
         {"another\n</think>\n\n" CALL("def(x):\n    return 2 * x"), false},
         {"ok" OPENED("def(x):\n    return 2 * x"), false});
    p->tape.n_params = 5000000;
    p->opts.retry = AGENT_RETRY_FRESH;
    p->opts.keeps_signature = false;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_true(p->seen.temp[0] <= 0);
    float most = 0;
    for (size_t i = 0; i < p->seen.n_decoded; i++) {
        most = QA_MAX(most, p->seen.temp[i]);
    }
    assert_true(most >= 1.0f);
    assert_int_equal(p->seen.n_rewinds, 1);
    hasnt(p->session, "return x + 2");
    has(p, p->notices.p, "fresh thinking");
    release(p);
}

static void a_plan_that_failed_is_not_tried_again(void **fixture)
{
    PLAY({"plan\n</think>\n\n" CALL("def(x):\n    return x + 2"), false},
         {"plan\n</think>\n\n" CALL("def(x):\n    return x + 3"), false},
         {"plan\n</think>\n\n" CALL("def(x):\n    return x + 3"), false},
         {"another\n</think>\n\n" CALL("def(x):\n    return 2 * x"), false},
         {"ok" OPENED("def(x):\n    return 2 * x"), false});
    p->tape.n_params = 5000000;
    p->opts.retry = AGENT_RETRY_FRESH;
    p->opts.keeps_signature = false;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_int_equal(p->result.n_tool_calls, 2);
    assert_int_equal(p->result.n_iterations, 3);
    has(p, p->notices.p, "that plan failed before");
    hasnt(p->tool.p, "x + 3");
    release(p);
}

static void without_thinking_the_frame_is_the_templates(void **fixture)
{
    PLAY({BLOCK(GOOD), false});
    p->opts.limits.think_tokens = 0;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "<|im_start|>assistant\n<think>\n\n</think>\n\n```python");
    release(p);
}

static void a_tiny_model_cannot_miscopy_the_asked_name(void **fixture)
{
    for (int n = 1; n <= BURST_MAX; n += 4) {
        PLAY({"a\n</think>" CALL("import re\ndef(x):\n    return 2 * x\ndef other(): pass"),
              false},
             {"b" OPENED("def(x):\n    return 2 * x"), false});
        p->tape.n_burst = n;
        p->tape.n_params = 5000000;
        p->opts.keeps_signature = false;
        play(p, TASK);
        ends(p, AGENT_ANSWERED, GOOD);
        has(p, p->session, "import re\ndef double(x):");
        has(p, p->session, "\ndef other(): pass");
        release(p);
    }
}

/* ---- the answer step ---- */

static void the_last_step_masks_calls_and_opens_the_answer(void **fixture)
{
    PLAY({"p\n</think>\n\n" CALL("print(1)"), false}, {"<tool_call>" GOOD "\n```", false});
    p->opts.limits.max_iter = 2;
    play(p, TASK);
    has(p, p->session, "<|im_start|>assistant\n<think>\n\n</think>\n\n```python\n");
    assert_int_equal(p->result.n_tool_calls, 1);
    assert_int_equal(p->result.n_iterations, 2);
    assert_non_null(p->result.answer);
    release(p);
}

static void one_iteration_is_one_answer_step_that_may_think(void **fixture)
{
    PLAY({"Twice it.\n</think>" GOOD "\n```", false});
    p->opts.limits.max_iter = 1;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_string_equal(p->result.answer, BLOCK(GOOD));
    assert_string_equal(p->think.p, "Twice it.");
    release(p);
}

/* ---- failures ---- */

static void a_failed_call_is_repaired_in_place_when_asked(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL(BAD "\nassert double(3) == 6"), false},
         {"b\n</think>\n\n" CALL(GOOD "\nassert double(3) == 6\nprint('ok')"), false},
         {"c" OPENED(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "AssertionError\n[exit code 1]\n</tool_response>");
    assert_int_equal(p->seen.n_rewinds, 0);
    release(p);
}

static void a_lesson_takes_the_place_of_the_failed_attempt(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL(BAD), false}, {"b\n</think>\n\n" CALL(GOOD), false},
         {"c" OPENED(GOOD), false});
    p->opts.retry = AGENT_RETRY_LESSON;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "<|im_start|>user\nAn earlier attempt failed: double(3) gives 5");
    hasnt(p->session, BAD);
    release(p);
}

static void auto_repairs_first_and_then_starts_afresh_with_a_large_model(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL(BAD), false}, {"b\n</think>\n\n" CALL(BAD "\n"), false},
         {"c\n</think>\n\n" CALL(GOOD), false}, {"d" OPENED(GOOD), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->notices.p, "repairs|");
    has(p, p->notices.p, "fresh thinking");
    assert_int_equal(p->seen.n_rewinds, 1);
    release(p);
}

static void the_tasks_examples_count_although_the_models_own_asserts_pass(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL(BAD "\nassert double(2) == 4\nprint('ok')"), false},
         {"b\n</think>\n\n" CALL(GOOD "\nprint('ok')"), false}, {"c" OPENED(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "The task's own example fails: double(3) gives 5, the task says 6");
    release(p);
}

static void a_wrong_assert_of_the_models_own_does_not_sink_good_code(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL(GOOD "\nassert double(2) == 5"), false},
         {"b" OPENED(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    hasnt(p->notices.p, "repairs"); /* the task's example passed: that is no failure */
    release(p);
}

/* Asserts that cannot even be read do not take the function with them. */
static void a_program_that_breaks_off_behind_the_function_is_tried_without_its_end(
    void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL(GOOD "\n\nassert double([\"}\nprint('ok')"), false},
         {"b" OPENED(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    hasnt(p->notices.p, "repairs");
    release(p);
}

/* A function that is itself cut is none. */
static void a_program_that_breaks_off_within_the_function_is_broken(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL("def double(x):\n    y = (\n    return 2 * x"), false},
         {"b\n</think>\n\n" BLOCK(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->notices.p, "never closed");
    release(p);
}

static void a_retyped_answer_that_fails_gives_way_to_the_program_that_passed(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL("import math\n" GOOD "\nassert double(3) == 6\nprint('ok')"),
          false},
         {"b" OPENED("def double(x)\n    return 2 * x"), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, "import math\n\n" GOOD);
    assert_string_equal(p->result.answer, BLOCK("import math\n\n" GOOD));
    release(p);
}

static void asserts_around_an_answer_are_left_out(void **fixture)
{
    PLAY({"a\n</think>\n\n" BLOCK(GOOD "\n\nassert double(2) == 5\nprint(double(1))"), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    assert_string_equal(p->result.answer, BLOCK(GOOD));
    release(p);
}

static void the_answer_is_chosen_by_what_it_defines(void **fixture)
{
    PLAY({"a\n</think>\n\nHere:\n\n" BLOCK(GOOD) "\n\nUse it like this:\n\n" BLOCK(
              "print(double(4))") "\n",
          false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    release(p);
}

static void an_answer_that_fails_all_the_way_is_handed_out_with_exit_9(void **fixture)
{
    PLAY({"a\n</think>\n\n" BLOCK(BAD), false}, {"b\n</think>\n\n" BLOCK(BAD), false});
    p->opts.limits.max_iter = 2;
    play(p, TASK);
    ends(p, AGENT_CHECKS_FAILED, BAD);
    assert_int_equal(agent_outcome_exit(p->result.outcome), 9);
    has(p, p->notices.p, "double(3) gives 5, the task says 6");
    release(p);
}

static void an_answer_without_the_asked_function_is_not_taken_at_once(void **fixture)
{
    PLAY({"a\n</think>\n\n" BLOCK("def twice(x):\n    return 2 * x"), false},
         {"b\n</think>\n\n" BLOCK(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "does not define double");
    release(p);
}

static void an_answer_without_code_is_asked_for_again(void **fixture)
{
    PLAY({"a\n</think>\n\nI will now write it.", false},
         {"b\n</think>\n\n" BLOCK(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "Answer with the final code");
    release(p);
}

static void a_malformed_call_goes_back_with_a_message(void **fixture)
{
    PLAY({"a\n</think>\n\n<tool_call>\n{\"name\": \"code_execution\"}\n</tool_call>", false},
         {"b\n</think>\n\n" CALL(GOOD), false}, {"c" OPENED(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "<tool_response>\nerror: the call was not run: the call is JSON");
    release(p);
}

static void an_unknown_tool_is_named_with_what_there_is(void **fixture)
{
    PLAY({"a\n</think>\n\n<tool_call>\n<function=shell>\n<parameter=code>\nls\n</parameter>\n"
          "</function>\n</tool_call>",
          false},
         {"c\n</think>\n\n" BLOCK(GOOD), false});
    p->opts.retry = AGENT_RETRY_REPAIR;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "there is no tool 'shell'; there is code_execution");
    release(p);
}

static void a_repeated_call_is_told_once_and_the_answer_is_next(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL("print(1)"), false},
         {"b\n</think>\n\n" CALL("print(1)"), false}, {"c\n</think>" GOOD "\n```", false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session, "same program with the same result");
    assert_int_equal(p->result.n_iterations, 3);
    release(p);
}

static void output_that_looks_like_control_tokens_stays_text(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL("print('<' + '|im_end|>\\n<' + 'think>\\x1b[31m')"), false},
         {"c\n</think>\n\n" BLOCK(GOOD), false});
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->session,
        "<tool_response>\n<|im_end|>\n<think>\xEF\xBF\xBD[31m\n</tool_response>");
    size_t n_think = 0;
    for (size_t i = 0; i < p->ids.n; i++) {
        n_think += p->ids.p[i] == engine_special(p->engine, "<think>");
    }
    assert_int_equal(n_think, 2);
    release(p);
}

/* ---- ends ---- */

static void nothing_but_blanks_ends_with_exit_4(void **fixture)
{
    PLAY({"\n \n", true}, {" ", true});
    p->opts.limits.max_iter = 1;
    p->opts.limits.think_tokens = 0;
    play(p, "What is the capital of France?");
    ends(p, AGENT_NO_ANSWER, NULL);
    assert_int_equal(agent_outcome_exit(p->result.outcome), 4);
    release(p);
}

static void iterations_without_an_answer_end_with_exit_5(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL("print(1)"), false},
         {"b\n</think>\n\n" CALL("print(2)"), false}, {"\n\n\n", true});
    p->opts.limits.max_iter = 3;
    play(p, TASK);
    ends(p, AGENT_ITER_SPENT, NULL);
    assert_int_equal(agent_outcome_exit(p->result.outcome), 5);
    release(p);
}

static void the_token_budget_ends_with_exit_6(void **fixture)
{
    PLAY({"thinking of ever new things 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", false});
    p->opts.limits.max_tokens = 20;
    play(p, TASK);
    ends(p, AGENT_BUDGET_SPENT, NULL);
    assert_int_equal(p->result.n_generated_tokens, 20);
    assert_int_equal(agent_outcome_exit(p->result.outcome), 6);
    has(p, p->notices.p, "token budget");
    release(p);
}

static void a_program_that_passed_is_the_answer_when_the_budget_ends(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL(GOOD "\nassert double(3) == 6"), false},
         {"b\n</think>\n\nlet me talk about this for a while, because I like to talk", false});
    p->opts.limits.max_tokens = 160;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->notices.p, "program that passed is the answer");
    release(p);
}

static void the_time_budget_ends_with_exit_6_and_stops_the_program(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL("while True: pass"), false});
    p->opts.limits.timeout_s = 1;
    play(p, TASK);
    ends(p, AGENT_BUDGET_SPENT, NULL);
    assert_true(p->result.total_s < 60); /* the limit of a program is ten times that */
    has(p, p->tool.p, "[timed out after");
    release(p);
}

static void the_time_budget_ends_a_long_prompt(void **fixture)
{
    PLAY({"a\n</think>\n\n" BLOCK(GOOD), false});
    char task[2000];
    memset(task, 'x', sizeof task - 1);
    task[sizeof task - 1] = 0;
    p->opts.limits.timeout_s = 1e-9;
    play(p, task);
    ends(p, AGENT_BUDGET_SPENT, NULL);
    assert_int_equal(p->result.n_prompt_tokens, 512); /* one step, not all of it */
    has(p, p->notices.p, "the time budget is spent");
    release(p);
}

static void the_tool_time_budget_ends_with_exit_6(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL("import time\ntime.sleep(0.2)"), false},
         {"a\n</think>\n\n" CALL("import time\ntime.sleep(0.3)"), false},
         {"a\n</think>\n\n" CALL("import time\ntime.sleep(0.4)"), false});
    p->opts.limits.tool_total_s = 0.3;
    play(p, TASK);
    ends(p, AGENT_BUDGET_SPENT, NULL);
    has(p, p->notices.p, "tool time budget");
    release(p);
}

static void a_task_too_long_for_the_context_ends_with_exit_8(void **fixture)
{
    PLAY({"a\n</think>\n\n" BLOCK(GOOD), false});
    p->opts.ctx_tokens = 3000;
    char task[2500];
    memset(task, 'x', sizeof task - 1);
    task[sizeof task - 1] = 0;
    play(p, task);
    ends(p, AGENT_CONTEXT_FULL, NULL);
    assert_int_equal(agent_outcome_exit(p->result.outcome), 8);
    has(p, p->notices.p, "tokens of context");
    release(p);
}

static void a_full_context_leads_back_to_the_task(void **fixture)
{
    PLAY({"a\n</think>\n\n" CALL("print('x' * 6000)"), false},
         {"c\n</think>\n\n" BLOCK(GOOD), false});
    p->opts.ctx_tokens = 6000;
    play(p, TASK);
    ends(p, AGENT_ANSWERED, GOOD);
    has(p, p->notices.p, "back to the task");
    release(p);
}

static void ctrl_c_stops_within_one_token(void **fixture)
{
    static volatile int stop;
    PLAY({"thinking and thinking about this and that", true});
    stop = 0;
    p->tape.stop = &stop;
    p->tape.stop_after = 30;
    p->opts.stop = &stop;
    play(p, TASK);
    ends(p, AGENT_INTERRUPTED, NULL);
    assert_int_equal(agent_outcome_exit(p->result.outcome), 130);
    assert_int_equal(p->result.n_generated_tokens, 30);
    release(p);
}

static void prose_is_an_answer_where_no_code_is_asked_for(void **fixture)
{
    PLAY({"Easy.\n</think>\n\nParis.", false});
    play(p, "What is the capital of France?");
    ends(p, AGENT_ANSWERED, NULL);
    assert_string_equal(p->result.answer, "Paris.");
    assert_null(p->result.code);
    release(p);
}

static void the_system_prefix_is_computed_once_for_many_tasks(void **fixture)
{
    PLAY({"a\n</think>\n\n" BLOCK(GOOD), false}, {"a\n</think>\n\n" BLOCK(GOOD), false});
    struct err e = {0};
    struct agent *a = NULL;
    struct agent_result one = {0}, two = {0};
    assert_int_equal(fake_engine_open(&p->engine, &p->tape, &e), QA_OK);
    assert_int_equal(sandbox_open(&p->sandbox, &(struct sandbox_opts){0}, &e), QA_OK);
    p->opts.engine = p->engine;
    p->opts.sandbox = p->sandbox;
    p->opts.sink = (struct agent_sink){0};
    assert_int_equal(agent_open(&a, &p->opts, &e), QA_OK);
    assert_int_equal(agent_run(a, str_of(TASK), "double", &one, &e), QA_OK);
    assert_int_equal(agent_run(a, str_of(TASK), "double", &two, &e), QA_OK);
    assert_int_equal(one.outcome, AGENT_ANSWERED);
    assert_int_equal(two.outcome, AGENT_ANSWERED);
    assert_int_equal(one.n_prompt_tokens, two.n_prompt_tokens);
    assert_true(two.n_reused_tokens > 1000 && two.n_prompt_tokens < 200);
    agent_close(a);
    agent_result_release(&one);
    agent_result_release(&two);
    release(p);
}

/* ---- the law: an answer or a reason, always ---- */

static void two_hundred_random_tapes_end_with_an_answer_or_a_reason(void **fixture)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct play *p = &the_play;
        init(p, NULL, 0);
        p->tape.is_random = true;
        p->tape.seed = seed;
        p->tape.n_burst = 1 + (int)(seed % BURST_MAX);
        p->tape.n_params = seed % 2 ? 4000000000 : 10000000;
        p->opts.limits.max_iter = 1 + (int)(seed % 5);
        p->opts.limits.think_tokens = (int)(seed % 4) * 40 - 1;
        p->opts.limits.max_tokens = seed % 3 ? 0 : 200;
        p->opts.ctx_tokens = 2600 + (int64_t)(seed % 7) * 400;
        p->opts.retry = (enum agent_retry)(seed % 4);
        play(p, seed % 5 ? TASK : "Say something.");
        assert_true(p->result.n_iterations <= p->opts.limits.max_iter);
        if (p->opts.limits.max_tokens) {
            assert_true(p->result.n_generated_tokens <= p->opts.limits.max_tokens + BURST_MAX);
        }
        release(p);
    }
}

/* Bursts of any size give the same conversation. */
static void the_burst_size_changes_nothing(void **fixture)
{
    char *first = NULL;
    for (int n = 1; n <= BURST_MAX; n++) {
        PLAY({"Try. " CALL(BAD "\nassert double(3) == 6"), false},
             {"b\n</think>\n\n" CALL(GOOD "\nprint('ok')"), false}, {"c" OPENED(GOOD), false});
        p->opts.retry = AGENT_RETRY_REPAIR;
        p->tape.n_burst = n;
        play(p, TASK);
        ends(p, AGENT_ANSWERED, GOOD);
        if (!first) first = strdup(p->session);
        size_t same = 0;
        while (first[same] && first[same] == p->session[same]) {
            same++;
        }
        if (first[same] != p->session[same]) {
            fail_msg("bursts of %d: '%s' is not '%s'", n, p->session + same, first + same);
        }
        release(p);
    }
    free(first);
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]); /* one test by name; * and ? as in a shell */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_at_once_is_executed_and_handed_out),
        cmocka_unit_test(one_call_then_the_answer),
        cmocka_unit_test(the_token_stream_is_what_the_template_renders),
        cmocka_unit_test(a_turn_cannot_end_inside_thinking),
        cmocka_unit_test(a_call_inside_thinking_closes_the_thinking_first),
        cmocka_unit_test(a_turn_cannot_end_before_there_is_text),
        cmocka_unit_test(control_tokens_are_never_sampled_where_they_have_no_place),
        cmocka_unit_test(endless_thinking_is_closed_at_its_budget),
        cmocka_unit_test(thinking_is_closed_at_the_end_of_a_sentence_before_its_budget),
        cmocka_unit_test(thinking_in_circles_is_closed),
        cmocka_unit_test(thinking_and_code_are_sampled_with_different_settings),
        cmocka_unit_test(a_tiny_model_begins_greedy_and_samples_when_it_thinks_afresh),
        cmocka_unit_test(a_plan_that_failed_is_not_tried_again),
        cmocka_unit_test(without_thinking_the_frame_is_the_templates),
        cmocka_unit_test(a_tiny_model_cannot_miscopy_the_asked_name),
        cmocka_unit_test(the_last_step_masks_calls_and_opens_the_answer),
        cmocka_unit_test(one_iteration_is_one_answer_step_that_may_think),
        cmocka_unit_test(a_failed_call_is_repaired_in_place_when_asked),
        cmocka_unit_test(a_lesson_takes_the_place_of_the_failed_attempt),
        cmocka_unit_test(auto_repairs_first_and_then_starts_afresh_with_a_large_model),
        cmocka_unit_test(the_tasks_examples_count_although_the_models_own_asserts_pass),
        cmocka_unit_test(a_wrong_assert_of_the_models_own_does_not_sink_good_code),
        cmocka_unit_test(
            a_program_that_breaks_off_behind_the_function_is_tried_without_its_end),
        cmocka_unit_test(a_program_that_breaks_off_within_the_function_is_broken),
        cmocka_unit_test(a_retyped_answer_that_fails_gives_way_to_the_program_that_passed),
        cmocka_unit_test(asserts_around_an_answer_are_left_out),
        cmocka_unit_test(the_answer_is_chosen_by_what_it_defines),
        cmocka_unit_test(an_answer_that_fails_all_the_way_is_handed_out_with_exit_9),
        cmocka_unit_test(an_answer_without_the_asked_function_is_not_taken_at_once),
        cmocka_unit_test(an_answer_without_code_is_asked_for_again),
        cmocka_unit_test(a_malformed_call_goes_back_with_a_message),
        cmocka_unit_test(an_unknown_tool_is_named_with_what_there_is),
        cmocka_unit_test(a_repeated_call_is_told_once_and_the_answer_is_next),
        cmocka_unit_test(output_that_looks_like_control_tokens_stays_text),
        cmocka_unit_test(nothing_but_blanks_ends_with_exit_4),
        cmocka_unit_test(iterations_without_an_answer_end_with_exit_5),
        cmocka_unit_test(the_token_budget_ends_with_exit_6),
        cmocka_unit_test(a_program_that_passed_is_the_answer_when_the_budget_ends),
        cmocka_unit_test(the_time_budget_ends_with_exit_6_and_stops_the_program),
        cmocka_unit_test(the_time_budget_ends_a_long_prompt),
        cmocka_unit_test(the_tool_time_budget_ends_with_exit_6),
        cmocka_unit_test(a_task_too_long_for_the_context_ends_with_exit_8),
        cmocka_unit_test(a_full_context_leads_back_to_the_task),
        cmocka_unit_test(ctrl_c_stops_within_one_token),
        cmocka_unit_test(prose_is_an_answer_where_no_code_is_asked_for),
        cmocka_unit_test(the_system_prefix_is_computed_once_for_many_tasks),
        cmocka_unit_test(two_hundred_random_tapes_end_with_an_answer_or_a_reason),
        cmocka_unit_test(the_burst_size_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
