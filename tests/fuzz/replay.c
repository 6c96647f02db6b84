/* replay.c - main for a fuzz target without a fuzzer: feeds it every file of a
 * corpus folder, so that every crash ever found stays fixed. */
#include "engine/base/file.h"

#include <dirent.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    int n = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            fprintf(stderr, "replay: cannot open folder '%s'\n", argv[i]);
            return 1;
        }
        for (struct dirent *f; (f = readdir(d));) {
            if (f->d_name[0] == '.') continue;
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[i], f->d_name);
            struct err e = {0};
            struct str_buf b;
            str_buf_init(&b, 64 << 20);
            if (file_read(&b, path, &e)) {
                fprintf(stderr, "replay: %s\n", e.text);
                return 1;
            }
            LLVMFuzzerTestOneInput((const uint8_t *)(b.p ? b.p : ""), b.n);
            str_buf_release(&b);
            n++;
        }
        closedir(d);
    }
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    printf("replayed %d inputs\n", n);
    return n > 0 ? 0 : 1; /* a target without a corpus is a mistake */
}
