/* tolerance.h - how far a backend may be from ref, per kind of verb, with reasons.
 *
 * Distances are relative: ||got - want|| / ||want|| over the whole output.  Loosening
 * one is a decision that this table makes visible. */
#ifndef QA_TOLERANCE_H
#define QA_TOLERANCE_H

/* Same f32 operations in another order, and an exponential good to 1e-7. */
#define TOL_F32 3e-6

/* Sums of thousands of f32 products in another order. */
#define TOL_F32_SUM 1e-5

/* x in 8 bits per 32 values: the error of a value is uniform within half a step of
 * max|x|/127, about 0.6 % of the spread of normal x; a sum keeps that relative size. */
#define TOL_8BIT 1.2e-2

/* Two 8-bit products one behind the other, with a gate between. */
#define TOL_8BIT_FFN 2.5e-2

/* The same state read many times: errors of the delta rule add up along the rows. */
#define TOL_DELTA 2e-5

#endif
