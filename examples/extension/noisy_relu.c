/* An operator of one's own: MyNoisyReluDomain::NoisyRelu, Y = max(0, X + noise), noise normally distributed around
 * `mean` with the given `variance`. The noise is drawn from a fixed seed, so that every run gives the same numbers.
 *
 *   gcc -shared -fPIC -O2 noisy_relu.c -o libnoisy_relu.so -lm
 *   hone run model.onnx --extension libnoisy_relu.so --output-dir out
 */
#include <hone/extension.h>
#include <math.h>

static int infer(hone_ext_call* c) {
  if (c->inputs[0].type && strcmp(c->inputs[0].type, "f32") != 0) return hone_ext_fail(c, "takes f32");
  if (hone_ext_float(c, "variance", 1) < 0) return hone_ext_fail(c, "the variance is negative");
  return hone_ext_copy_type(c, 0, 0);
}

/* The next number of a 64-bit linear congruential generator, in (0, 1). */
static double uniform(uint64_t* state) {
  *state = *state * 6364136223846793005ull + 1442695040888963407ull;
  return ((double)(*state >> 11) + 0.5) / 9007199254740992.0;
}

static int evaluate(hone_ext_call* c) {
  const float* x = (const float*)c->inputs[0].data;
  float* y = (float*)c->outputs[0].data;
  const double mean = hone_ext_float(c, "mean", 0), deviation = sqrt(hone_ext_float(c, "variance", 1));
  uint64_t state = 1;
  size_t i, n = hone_ext_elements(&c->outputs[0]);
  for (i = 0; i < n; ++i) {
    /* Box and Muller, 1958 */
    const double noise = sqrt(-2 * log(uniform(&state))) * cos(6.283185307179586 * uniform(&state));
    const double v = x[i] + mean + deviation * noise;
    y[i] = v > 0 ? (float)v : 0;
  }
  return 0;
}

static const hone_ext_operator operators[] = {{"MyNoisyReluDomain", "NoisyRelu", 1, 1, infer, evaluate}};
HONE_EXTENSION("noisy relu", operators)
