/* inner_table.h - the row itself, after inner_dot.h and inner_loops.h: defines
 * INNER_TABLE with the name INNER_NAME and the feature bits INNER_NEEDS. */
#ifdef INNER_TABLE
const struct kernels INNER_TABLE = {
    .name = INNER_NAME,
    .needs = INNER_NEEDS,
    .quantise = quantise,
    .dot =
        {
              [QUANT_Q8_0] = dot_q8_0,
              [QUANT_Q4_K] = dot_q4_k,
              [QUANT_Q5_K] = dot_q5_k,
              [QUANT_Q6_K] = dot_q6_k,
              [QUANT_IQ4_NL] = dot_iq4_nl,
              },
    .dot_any = dot_any,
    .attend = attend,
    .delta = delta,
    .conv_row = conv_row,
    .kv_load = kv_load,
    .kv_rotate = rotate_row,
    .kv_unrotate = unrotate_row,
    .f32_to_f16 = f32_to_f16,
    .rms = rms,
    .unit = unit,
    .silu_mul = silu_mul,
    .sigmoid_mul = sigmoid_mul,
    .exp_sum = exp_sum,
    .add_scaled = add_scaled,
    .arg_max = arg_max,
};
#endif
