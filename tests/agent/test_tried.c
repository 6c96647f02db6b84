/* The list of plans that failed. */
#include "agent/tried.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void a_wrong_plan_is_spent_at_once(void **state)
{
    (void)state;
    struct tried t = {0};
    assert_int_equal(tried_find(&t, STR("a")), TRIED_NEVER);
    tried_add(&t, STR("  a\n"), false);
    assert_int_equal(tried_find(&t, STR("a")), TRIED_SPENT);
    assert_int_equal(tried_find(&t, STR("\na ")), TRIED_SPENT);
    assert_int_equal(tried_find(&t, STR("b")), TRIED_NEVER);
    tried_release(&t);
    assert_int_equal(tried_find(&t, STR("a")), TRIED_NEVER);
}

static void a_plan_whose_code_failed_gets_a_second_chance(void **state)
{
    (void)state;
    struct tried t = {0};
    tried_add(&t, STR("a"), true);
    assert_int_equal(tried_find(&t, STR("a")), TRIED_CODE_FAULT);
    tried_add(&t, STR("a"), true);
    assert_int_equal(tried_find(&t, STR("a")), TRIED_SPENT);
    tried_release(&t);
}

static void a_full_list_forgets_rather_than_grows(void **state)
{
    (void)state;
    struct tried t = {0};
    char text[32];
    for (int i = 0; i < TRIED_MAX + 10; i++) {
        snprintf(text, sizeof text, "plan %d", i);
        tried_add(&t, str_of(text), false);
    }
    assert_int_equal(t.n, TRIED_MAX);
    assert_int_equal(tried_find(&t, STR("plan 0")), TRIED_SPENT);
    assert_int_equal(tried_find(&t, str_of(text)), TRIED_NEVER);
    tried_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_plan_is_spent_at_once),
        cmocka_unit_test(a_plan_whose_code_failed_gets_a_second_chance),
        cmocka_unit_test(a_full_list_forgets_rather_than_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
