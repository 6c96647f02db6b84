/* embed.S - the text of driver.py inside the executable. */
    .section .rodata
    .global qa_driver_py
    .global qa_driver_py_end
qa_driver_py:
    .incbin "sandbox/driver.py"
qa_driver_py_end:
    .byte 0
    .section .note.GNU-stack, "", %progbits
