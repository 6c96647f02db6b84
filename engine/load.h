/* load.h - the bytes of tensors from disk into the image of their file.
 *
 * Large aligned blocks, several in flight, past the page cache where the file system
 * allows it (O_DIRECT): nothing is held twice, and a disk gives its full rate only
 * when it is asked for much at once.  Where it is refused, plain reads. */
#ifndef QA_LOAD_H
#define QA_LOAD_H

#include "engine/engine.h"
#include "engine/gguf.h"

struct load_stats {
    uint64_t n_bytes; /* read; 0 when mapped or already in memory                 */
    double seconds;
    bool is_direct; /* all of the large blocks went past the page cache           */
};

/* Make t[i]->data valid for all n.  Progress is told on the calling thread.
 * QA_E_IO: the file cannot be read, or became shorter.  QA_E_STOP: engine_stop() was
 * called; returns within one block of each thread. */
enum status load_tensors(const struct gguf *file,
                         const struct gguf_tensor *const *t,
                         size_t n,
                         const struct engine_progress *progress,
                         struct load_stats *stats,
                         struct err *e) MUST_USE;

#endif
