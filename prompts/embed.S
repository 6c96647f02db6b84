/* embed.S - the prompts as bytes: qa_prompt_NAME .. qa_prompt_NAME_end. */
    .section .rodata
    .macro prompt name
    .global qa_prompt_\name
    .global qa_prompt_\name\()_end
qa_prompt_\name:
    .incbin "prompts/\name\().txt"
qa_prompt_\name\()_end:
    .byte 0
    .endm
    prompt system
    prompt tools
    prompt humaneval
    prompt check
    prompt summary
    .section .note.GNU-stack,"",@progbits
