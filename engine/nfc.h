/* nfc.h - Unicode's composed normal form, as the official tokenizers apply it first.
 *
 * Source: UAX #15.  Property tables are those of the linked utf8proc. */
#ifndef QA_NFC_H
#define QA_NFC_H

#include "engine/base/str.h"

/* True when s needs no work: each of its characters stands in every NFC text as it
 * is.  False does not say that s changes. */
bool nfc_is_plain(struct str s);

/* Append s to out with each run of well-formed UTF-8 in NFC and all other bytes as
 * they are.  Linear in s.n; failures stay in out (str_buf_check). */
void nfc_add(struct str_buf *out, struct str s);

#endif
