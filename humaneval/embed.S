/* embed.S - the mini suite, qa_mini_jsonl .. qa_mini_jsonl_end; the canary program,
 * qa_canary_py .. qa_canary_py_end; the report's page,
 * qa_report_page .. qa_report_page_end. */
    .section .rodata
    .global qa_mini_jsonl
    .global qa_mini_jsonl_end
qa_mini_jsonl:
    .incbin "humaneval/mini.jsonl"
qa_mini_jsonl_end:
    .byte 0
    .global qa_canary_py
    .global qa_canary_py_end
qa_canary_py:
    .incbin "humaneval/canary.py"
qa_canary_py_end:
    .byte 0
    .global qa_report_page
    .global qa_report_page_end
qa_report_page:
    .incbin "humaneval/report_page.html"
qa_report_page_end:
    .byte 0
    .section .note.GNU-stack,"",@progbits
