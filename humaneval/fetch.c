/* fetch.c - download one file whose digest is known. */
#include "humaneval/fetch.h"

#include "engine/base/clock.h"
#include "engine/base/file.h"
#include "humaneval/humaneval.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

enum { CONNECT_S = 20, STALL_S = 30, STALL_BYTES = 100, MAX_REDIRECTS = 5 };

struct download {
    const struct fetch *f;
    struct str_buf bytes;
    const char *name; /* last part of the path */
    double drawn_s;
};

static size_t on_data(char *p, size_t size, size_t n, void *ctx)
{
    struct download *d = ctx;
    str_buf_add(&d->bytes, (struct str){p, size * n});
    return str_buf_check(&d->bytes, "the download", NULL) ? 0 : size * n;
}

static bool is_stopped(const struct fetch *f)
{
    return f->stop && *f->stop;
}

static int on_progress(void *ctx, curl_off_t total, curl_off_t now, curl_off_t a, curl_off_t b)
{
    struct download *d = ctx;
    (void)a;
    (void)b;
    if (is_stopped(d->f)) return 1;
    if (!d->f->want_progress || clock_now_s() - d->drawn_s < 0.1) return 0;
    d->drawn_s = clock_now_s();
    fprintf(stderr, "\r\033[Kdownloading %s: %lld of %lld bytes", d->name, (long long)now,
            (long long)total);
    return 0;
}

static enum status perform(struct download *d, struct err *e)
{
    char text[CURL_ERROR_SIZE] = "";
    const char *protocols = d->f->protocols ? d->f->protocols : "https";
    CURL *c = curl_easy_init();
    if (!c) return err_set(e, QA_E_NOMEM, "out of memory");
    curl_easy_setopt(c, CURLOPT_URL, d->f->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols);
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, (long)STALL_BYTES);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, d);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, d);
    const CURLcode code = curl_easy_perform(c);
    curl_easy_cleanup(c);
    if (d->drawn_s > 0) fputs("\r\033[K", stderr);
    if (code == CURLE_OK) return QA_OK;
    if (is_stopped(d->f)) return err_set(e, QA_E_STOP, "interrupted");
    const enum status st = str_buf_check(&d->bytes, "the download", e);
    if (st) return err_wrap(e, st, "cannot download '%s'", d->name);
    return err_set(e, QA_E_IO, "cannot download '%s': %s", d->name,
                   text[0] ? text : curl_easy_strerror(code));
}

enum status fetch_file(const struct fetch *f, struct err *e)
{
    static bool is_ready;
    char digest[65];
    char folder[4096];
    const char *slash = strrchr(f->path, '/');
    if (!is_ready && curl_global_init(CURL_GLOBAL_DEFAULT)) {
        return err_set(e, QA_E_INTERNAL, "cannot set up libcurl");
    }
    is_ready = true;
    struct download d = {.f = f, .name = slash ? slash + 1 : f->path};
    str_buf_init(&d.bytes, f->max_bytes);
    enum status st = perform(&d, e);
    if (!st) {
        dataset_sha256(str_buf_str(&d.bytes), digest);
        if (strcmp(digest, f->sha256) != 0) {
            st =
                err_set(e, QA_E_FORMAT, "the downloaded '%s' has sha256 %.12s..., not %.12s...",
                        d.name, digest, f->sha256);
        }
    }
    if (!st && slash && slash > f->path) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - f->path), f->path);
        st = file_make_dirs(folder, e);
    }
    if (!st) st = file_write(f->path, str_buf_str(&d.bytes), e);
    str_buf_release(&d.bytes);
    return st;
}
