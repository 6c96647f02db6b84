/* embed.S - the embedded model's bytes: qa_tiny_gguf .. qa_tiny_gguf_end. */
    .section .rodata
    .balign 64
    .global qa_tiny_gguf
    .global qa_tiny_gguf_end
qa_tiny_gguf:
    .incbin "engine/tiny/qagent-tiny.gguf"
qa_tiny_gguf_end:
    .byte 0
    .section .note.GNU-stack,"",@progbits
