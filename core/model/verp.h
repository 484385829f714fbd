/* The return path that carries identity (VERP): PREFIX "+" TOKEN "@" DOMAIN.
 *
 * "b+<37 characters>@bounce.example": 39 characters of local part, so that a
 * forwarder's SRS form still fits 64. BATV (prvs=TAG=local, prvs=local=TAG)
 * and SRS (SRS0=, SRS1=) wrappers are taken off before opening. */
#ifndef LF_MODEL_VERP_H
#define LF_MODEL_VERP_H

#include "core/model/token.h"

#define VERP_PREFIX "b"

/* Append the address without angle brackets. As token_seal_return. */
int verp_seal(struct sealer *s, slice domain, const struct token *t, struct buf *out);

/* address: with or without angle brackets. 0, or why not; an address that has
 * nothing of ours gives -REFUSE_SYNTAX. */
int verp_open(struct sealer *s, slice domain, slice address, struct token *out);

#endif
