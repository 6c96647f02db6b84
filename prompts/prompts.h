/* prompts.h - the texts in the binary, one purpose each; NAME .. NAME_end. */
#ifndef QA_PROMPTS_H
#define QA_PROMPTS_H

extern const char qa_prompt_system[], qa_prompt_system_end[];       /* system.txt    */
extern const char qa_prompt_tools[], qa_prompt_tools_end[];         /* tools.txt     */
extern const char qa_prompt_humaneval[], qa_prompt_humaneval_end[]; /* humaneval.txt */
extern const char qa_prompt_check[], qa_prompt_check_end[];         /* check.txt     */
extern const char qa_prompt_summary[], qa_prompt_summary_end[];     /* summary.txt   */

/* The text between two of them, without the file's last newline. */
#define PROMPT(name) \
    str_trim(        \
        (struct str){qa_prompt_##name, (size_t)(qa_prompt_##name##_end - qa_prompt_##name)})

#endif
