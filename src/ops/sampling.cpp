#include "ops/sampling.hpp"

#include <cmath>

#include "ops/elementwise.hpp"
#include "ops/family.hpp"

namespace hone {
namespace {

constexpr size_t max_axes = 4;

struct GridRules {
  bool align;
  GridPadding padding;
  GridMode mode;

  double unnormalized(double v, int64_t size) const {
    const auto n = static_cast<double>(size);
    const double x = align ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
    // Far positions and NaN are outside; the bound keeps them convertible to integers.
    return std::isnan(x) ? -1e9 : std::clamp(x, -1e9, 1e9);
  }
  // Where the padding mode takes a position to.
  double padded(double x, int64_t size) const {
    if (padding == GridPadding::zeros) return x;
    const auto top = static_cast<double>(size - 1);
    if (padding == GridPadding::reflection) {
      const double low = align ? 0 : -0.5, span = align ? top : static_cast<double>(size);
      if (span <= 0) return 0;
      const double away = std::fabs(x - low), extra = std::fmod(away, span);
      x = std::fmod(std::floor(away / span), 2) == 0 ? extra + low : span - extra + low;
    }
    return std::clamp(x, 0.0, top);
  }
};

// The elements of one axis that a position reads, with their weights; index -1 stands for zero.
struct Taps {
  int n = 0;
  int64_t index[4];
  double weight[4];
  void add(double at, double w, int64_t size) {
    index[n] = at >= 0 && at < static_cast<double>(size) ? static_cast<int64_t>(at) : -1;
    weight[n++] = w;
  }
};

Taps taps_of(const GridRules& rules, double v, int64_t size) {
  Taps t;
  const double x = rules.unnormalized(v, size);
  if (rules.mode == GridMode::bicubic) {
    // Keys' kernel with a = -0.75; every tap is padded by itself.
    constexpr double a = -0.75;
    const double base = std::floor(x), d = x - base;
    const auto near = [](double u) { return ((a + 2) * u - (a + 3)) * u * u + 1; };
    const auto far = [](double u) { return ((a * u - 5 * a) * u + 8 * a) * u - 4 * a; };
    const double w[4] = {far(d + 1), near(d), near(1 - d), far(2 - d)};
    for (int k = 0; k < 4; ++k) t.add(std::nearbyint(rules.padded(base + k - 1, size)), w[k], size);
    return t;
  }
  const double p = rules.padded(x, size);
  if (rules.mode == GridMode::nearest) {
    t.add(std::nearbyint(p), 1, size);
    return t;
  }
  const double base = std::floor(p);
  t.add(base, 1 - (p - base), size);
  t.add(base + 1, p - base, size);
  return t;
}

}  // namespace

Types GridSample::infer(InferCtx& ctx) const {
  const ElementType e = ctx.element(0);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("is not defined on ") + name_of(e));
  const PartialShape &x = ctx.shape(0), &g = ctx.shape(1);
  if (x.rank_known())
    ctx.check(x.rank() >= 3 && x.rank() - 2 <= max_axes, "data " + to_string(x) + " is not [N, C, spatial...]");
  if (!g.rank_known()) return {Type(e, x.rank_known() ? PartialShape::dynamic(x.rank()) : PartialShape::dynamic())};
  ctx.check(g.rank() >= 3 && g.rank() - 2 <= max_axes && (!x.rank_known() || x.rank() == g.rank()),
            "grid " + to_string(g) + " does not fit data " + to_string(x));
  ctx.check(g[g.rank() - 1].compatible(Dimension(static_cast<int64_t>(g.rank()) - 2)),
            "the last axis of grid " + to_string(g) + " does not hold one position for each spatial axis");
  std::vector<Dimension> out{x.rank_known() ? x[0] : g[0], x.rank_known() ? x[1] : Dimension()};
  for (size_t k = 1; k + 1 < g.rank(); ++k) out.push_back(g[k]);
  return {Type(e, PartialShape(std::move(out)))};
}
void GridSample::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &grid = ctx.input(1);
  const size_t axes = x.rank() - std::min<size_t>(x.rank(), 2);
  if (axes == 0 || axes > max_axes || grid.rank() != x.rank() || grid.shape()[0] != x.shape()[0] ||
      grid.shape().back() != static_cast<int64_t>(axes)) {
    ctx.fail("grid " + to_string(grid.shape()) + " does not fit data " + to_string(x.shape()));
  }
  Shape shape{x.shape()[0], x.shape()[1]};
  size_t in = 1, out = 1;
  for (size_t k = 0; k < axes; ++k) {
    shape.push_back(grid.shape()[k + 1]);
    in *= static_cast<size_t>(x.shape()[k + 2]);
    out *= static_cast<size_t>(grid.shape()[k + 1]);
  }
  Tensor y = ctx.output(0, x.element_type(), shape);
  if (in == 0 && y.size() != 0) ctx.fail("data " + to_string(x.shape()) + " has no elements to sample");
  const GridRules rules{align_corners, padding_mode, mode};
  const auto channels = static_cast<size_t>(x.shape()[1]);
  with_float_type(ctx, x.element_type(), [&](auto zero) {
    using T = decltype(zero);
    for (size_t p = 0; p < static_cast<size_t>(x.shape()[0]) * out; ++p) {
      Taps taps[max_axes];
      for (size_t k = 0; k < axes; ++k)
        taps[k] = taps_of(rules, get_element(grid, p * axes + (axes - 1 - k)), x.shape()[k + 2]);
      const T* image = x.data<T>() + p / out * channels * in;
      T* to = y.data<T>() + p / out * channels * out + p % out;
      for (size_t c = 0; c < channels; ++c) {
        double sum = 0;
        int at[max_axes] = {};
        for (;;) {
          int64_t offset = 0;
          double weight = 1;
          for (size_t k = 0; k < axes; ++k) {
            const int64_t i = taps[k].index[at[k]];
            offset = i < 0 || offset < 0 ? -1 : offset * x.shape()[k + 2] + i;
            weight *= taps[k].weight[at[k]];
          }
          if (offset >= 0) sum += weight * static_cast<double>(image[c * in + static_cast<size_t>(offset)]);
          size_t k = axes;
          while (k-- > 0) {
            if (++at[k] < taps[k].n) break;
            at[k] = 0;
          }
          if (k == static_cast<size_t>(-1)) break;
        }
        to[c * out] = static_cast<T>(sum);
      }
    }
  });
}
Samples GridSample::samples() {
  const Tensor x = random_tensor({1, 2, 3, 4}, 1), g = random_tensor({1, 2, 3, 2}, 2, -1.6, 1.6);
  const auto values = [](Shape s, std::initializer_list<float> v) { return Tensor::of<float>(std::move(s), v); };
  // Expected values from OpenVINO 2026.4.
  return {
      sample(GridSample{false, GridMode::bilinear, GridPadding::zeros}, {x, g},
             {values({1, 2, 2, 3},
                     {-0.12709004f, -0.10642671f, 0.19567975f, 0.16210133f, -0.35112795f, 0.22341439f, -0.056750551f,
                      -0.066648029f, 0.069256417f, -0.60988569f, -0.71053457f, 0.31098759f})}),
      sample(
          GridSample{false, GridMode::bilinear, GridPadding::reflection}, {x, g},
          {values({1, 2, 2, 3}, {-0.15805617f, -0.14659566f, 0.19567975f, 0.19017479f, -0.42898265f, 0.22341439f,
                                 -0.070578113f, -0.091803193f, 0.069256417f, -0.71550852f, -0.8680796f, 0.31098759f})}),
      sample(GridSample{false, GridMode::nearest, GridPadding::zeros}, {x, g},
             {values({1, 2, 2, 3},
                     {-0.19171566f, -0.19171566f, 0.13312314f, 0.21084073f, -0.42898265f, -0.1114706f, -0.0082400972f,
                      -0.0082400972f, -0.090124182f, -0.75378221f, -0.8680796f, 0.29066929f})}),
      sample(
          GridSample{false, GridMode::bicubic, GridPadding::border}, {x, g},
          {values({1, 2, 2, 3}, {-0.29335487f, -0.30462626f, 0.17856814f, 0.20259567f, -0.50924575f, 0.19900155f,
                                 -0.052252389f, -0.066425905f, 0.11423889f, -0.84065747f, -0.93510783f, 0.49592501f})}),
      sample(
          GridSample{false, GridMode::bicubic, GridPadding::reflection}, {x, g},
          {values({1, 2, 2, 3}, {-0.31475165f, -0.34183553f, 0.17856814f, 0.2042383f, -0.51799232f, 0.19900155f,
                                 -0.061321404f, -0.083014436f, 0.11423889f, -0.8611899f, -0.94183034f, 0.49592501f})}),
      sample(
          GridSample{true, GridMode::bilinear, GridPadding::border}, {x, g},
          {values({1, 2, 2, 3}, {0.035973456f, -0.023431899f, 0.30663678f, 0.1136241f, -0.067216814f, 0.36161307f,
                                 0.029310077f, 0.020579129f, 0.25083318f, -0.19963536f, -0.51869506f, 0.43542492f})}),
      sample(GridSample{true, GridMode::bicubic, GridPadding::zeros}, {x, g},
             {values({1, 2, 2, 3}, {-0.019497573f, -0.072864339f, 0.3054781f, 0.08639247f, -0.12851134f, 0.3446961f,
                                    0.05868661f, 0.040093023f, 0.43565267f, -0.2415894f, -0.72780496f, 0.64108717f})}),
      sample(GridSample{false, GridMode::bilinear, GridPadding::reflection},
             {random_tensor({2, 2, 2, 3, 4}, 1), random_tensor({2, 2, 1, 3, 3}, 2, -2.5, 2.5)}),
      sample(GridSample{true, GridMode::nearest, GridPadding::zeros},
             {random_tensor({1, 2, 5}, 1), random_tensor({1, 4, 1}, 2, -1.5, 1.5)})};
}
HONE_DEFINE_OP(GridSample)

Types ROIAlign::infer(InferCtx& ctx) const {
  const PartialShape &x = ctx.shape(0), &boxes = ctx.shape(1), &images = ctx.shape(2);
  ctx.check(pooled_h > 0 && pooled_w > 0, "the pooled size is not positive");
  ctx.check(sampling_ratio >= 0, "sampling_ratio is negative");
  ctx.check(!x.rank_known() || x.rank() == 4, "data " + to_string(x) + " is not [N, C, H, W]");
  ctx.check(boxes.compatible(PartialShape{Dimension(), Dimension(4)}), "boxes " + to_string(boxes) + " are not [R, 4]");
  ctx.check(images.compatible(PartialShape{Dimension()}), "batch numbers " + to_string(images) + " are not [R]");
  const Dimension rois = boxes.rank_known() ? boxes[0] : images.rank_known() ? images[0] : Dimension();
  return {Type(ctx.element(0),
               PartialShape{rois, x.rank_known() ? x[1] : Dimension(), Dimension(pooled_h), Dimension(pooled_w)})};
}
void ROIAlign::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &boxes = ctx.input(1);
  const auto images = ctx.input(2).to_ints();
  if (x.rank() != 4 || boxes.rank() != 2 || boxes.shape()[1] != 4 ||
      boxes.shape()[0] != static_cast<int64_t>(images.size())) {
    ctx.fail("data " + to_string(x.shape()) + ", boxes " + to_string(boxes.shape()) + " and batch numbers do not fit");
  }
  if (pooled_h < 1 || pooled_w < 1 || sampling_ratio < 0)
    ctx.fail("the pooled size or the sampling ratio is out of range");
  const int64_t channels = x.shape()[1], height = x.shape()[2], width = x.shape()[3];
  Tensor y = ctx.output(0, x.element_type(), {boxes.shape()[0], channels, pooled_h, pooled_w});
  const bool aligned = aligned_mode != RoiAlignedMode::asymmetric;
  const double before = aligned_mode == RoiAlignedMode::half_pixel ? 0.5 : 0, after = aligned ? -0.5 : 0;
  // Two neighbours of a position along one axis; outside of the map both have weight zero.
  struct Line {
    int64_t at[2];
    double weight[2];
  };
  const auto line = [](double v, int64_t size) {
    if (!(v >= -1) || v > static_cast<double>(size)) return Line{{0, 0}, {0, 0}};
    v = std::max(v, 0.0);
    const auto low = std::min(static_cast<int64_t>(v), size - 1), high = std::min(low + 1, size - 1);
    const double d = low == high ? 0 : v - static_cast<double>(low);
    return Line{{low, high}, {1 - d, d}};
  };
  for (int64_t r = 0; r < boxes.shape()[0]; ++r) {
    if (images[static_cast<size_t>(r)] < 0 || images[static_cast<size_t>(r)] >= x.shape()[0])
      ctx.fail("a box lies in image " + std::to_string(images[static_cast<size_t>(r)]) + " of " +
               std::to_string(x.shape()[0]));
    double c[4];
    for (int64_t k = 0; k < 4; ++k)
      c[k] = (get_element(boxes, static_cast<size_t>(r * 4 + k)) + before) * spatial_scale + after;
    double w = c[2] - c[0], h = c[3] - c[1];
    if (!aligned) w = std::max(w, 1.0), h = std::max(h, 1.0);
    const double bin_w = w / static_cast<double>(pooled_w), bin_h = h / static_cast<double>(pooled_h);
    const auto samples_of = [&](double bin) {
      if (sampling_ratio > 0) return sampling_ratio;
      return std::isfinite(bin) ? static_cast<int64_t>(std::clamp(std::ceil(bin), 0.0, 65536.0)) : int64_t{0};
    };
    const int64_t nx = samples_of(bin_w), ny = samples_of(bin_h);
    for (int64_t ph = 0; ph < pooled_h; ++ph) {
      for (int64_t pw = 0; pw < pooled_w; ++pw) {
        for (int64_t ch = 0; ch < channels; ++ch) {
          const int64_t plane = (images[static_cast<size_t>(r)] * channels + ch) * height * width;
          double sum = 0, top = -INFINITY;
          for (int64_t iy = 0; iy < ny; ++iy) {
            const Line ly = line(
                c[1] + (static_cast<double>(ph) + (static_cast<double>(iy) + 0.5) / static_cast<double>(ny)) * bin_h,
                height);
            for (int64_t ix = 0; ix < nx; ++ix) {
              const Line lx = line(
                  c[0] + (static_cast<double>(pw) + (static_cast<double>(ix) + 0.5) / static_cast<double>(nx)) * bin_w,
                  width);
              double value = 0;
              for (int k = 0; k < 4; ++k) {
                const double weight = ly.weight[k / 2] * lx.weight[k % 2];
                const double part =
                    weight == 0
                        ? 0
                        : weight * get_element(x, static_cast<size_t>(plane + ly.at[k / 2] * width + lx.at[k % 2]));
                value += part;
                if (mode == RoiMode::max_neighbour) top = std::max(top, part);
              }
              sum += value;
              if (mode == RoiMode::max) top = std::max(top, value);
            }
          }
          const double n = static_cast<double>(nx * ny);
          const size_t to = static_cast<size_t>(((r * channels + ch) * pooled_h + ph) * pooled_w + pw);
          set_element(y, to, n == 0 ? 0 : mode == RoiMode::avg ? sum / n : top);
        }
      }
    }
  }
}
Samples ROIAlign::samples() {
  const std::vector<Datum> in{random_tensor({2, 2, 6, 7}, 1, 0, 1),
                              Tensor::of<float>({3, 4}, {0.3f, 0.4f, 4.2f, 5.1f, 1, 1, 3, 2, -1, -2, 8, 9}),
                              Tensor::of<int32_t>({3}, {0, 1, 1})};
  const auto values = [](Shape s, std::initializer_list<float> v) { return Tensor::of<float>(std::move(s), v); };
  // Expected values from OpenVINO 2026.4.
  // Those of max_neighbour from the reference evaluator of ONNX 1.23, output_half_pixel.
  return {
      sample(ROIAlign{2, 3, 2, 0.8, RoiMode::max_neighbour, RoiAlignedMode::asymmetric}, in,
             {values({3, 2, 2, 3}, {0.22104083f, 0.58962196f, 0.53568542f, 0.59645385f, 0.34280851f, 0.32204083f,
                                    0.36051261f, 0.65760756f, 0.5752793f,  0.49219012f, 0.55773944f, 0.37940654f,
                                    0.17628482f, 0.6463775f,  0.88142365f, 0.19447112f, 0.40180227f, 0.54791206f,
                                    0.39705113f, 0.22688633f, 0.16327646f, 0.46519476f, 0.29040092f, 0.39600113f,
                                    0.94083929f, 0.60045743f, 0.6243329f,  0.57267612f, 0.35585347f, 0.35585347f,
                                    0.51688325f, 0.32853436f, 0.46940282f, 0.25984284f, 0.63631147f, 0.50503492f})}),

      sample(ROIAlign{2, 3, 0, 0.8, RoiMode::avg, RoiAlignedMode::asymmetric}, in,
             {values({3, 2, 2, 3}, {0.34658358f, 0.64474767f, 0.60332197f, 0.47571838f, 0.41275787f, 0.43178105f,
                                    0.39900887f, 0.46107429f, 0.57293957f, 0.60152143f, 0.60906672f, 0.41778862f,
                                    0.16304027f, 0.60819018f, 0.89598364f, 0.25469315f, 0.58553833f, 0.8015151f,
                                    0.44715923f, 0.23379523f, 0.15143912f, 0.5951221f,  0.45146242f, 0.37784815f,
                                    0.38623092f, 0.43811494f, 0.47950801f, 0.51761883f, 0.48135951f, 0.29391316f,
                                    0.31288379f, 0.30557558f, 0.35525882f, 0.34461603f, 0.36907604f, 0.41878998f})}),
      sample(ROIAlign{2, 3, 2, 0.8, RoiMode::max, RoiAlignedMode::half_pixel_for_nn}, in,
             {values({3, 2, 2, 3}, {0.58429253f, 0.78442883f, 0.88071305f, 0.37569174f, 0.53605533f, 0.65793204f,
                                    0.84239286f, 0.61037242f, 0.67625809f, 0.61719108f, 0.71670574f, 0.83421427f,
                                    0.5921427f,  0.65648872f, 0.77823544f, 0.36868104f, 0.41653374f, 0.7615031f,
                                    0.32911426f, 0.42232874f, 0.29153392f, 0.34538093f, 0.44717991f, 0.26607209f,
                                    0.81295455f, 0.80765229f, 0.77725112f, 0.84870327f, 0.94713593f, 0.88651049f,
                                    0.35429871f, 0.59084564f, 0.54017317f, 0.51674116f, 0.75899863f, 0.73197675f})}),
      sample(ROIAlign{2, 3, 0, 0.8, RoiMode::avg, RoiAlignedMode::half_pixel}, in,
             {values({3, 2, 2, 3}, {0.38169739f, 0.63808244f, 0.60092783f,  0.41541499f, 0.41545922f, 0.44561562f,
                                    0.44698399f, 0.4476096f,  0.55974716f,  0.56726301f, 0.60926807f, 0.44103503f,
                                    0.18909264f, 0.55693245f, 0.91990089f,  0.16407838f, 0.52411473f, 0.87808424f,
                                    0.44096711f, 0.25970668f, 0.084722936f, 0.53368652f, 0.37609982f, 0.22271958f,
                                    0.37763929f, 0.43971807f, 0.47588164f,  0.52698869f, 0.46511263f, 0.31557927f,
                                    0.30434901f, 0.30901095f, 0.34061438f,  0.33482486f, 0.37293434f, 0.42166814f})})};
}
HONE_DEFINE_OP(ROIAlign)

Types ROIPooling::infer(InferCtx& ctx) const {
  const PartialShape &x = ctx.shape(0), &boxes = ctx.shape(1);
  ctx.check(output_roi.size() == 2 && output_roi[0] > 0 && output_roi[1] > 0, "output_roi is not a height and a width");
  ctx.check(!x.rank_known() || x.rank() == 4, "data " + to_string(x) + " is not [N, C, H, W]");
  ctx.check(boxes.compatible(PartialShape{Dimension(), Dimension(5)}), "boxes " + to_string(boxes) + " are not [R, 5]");
  return {Type(ctx.element(0),
               PartialShape{boxes.rank_known() ? boxes[0] : Dimension(), x.rank_known() ? x[1] : Dimension(),
                            Dimension(output_roi[0]), Dimension(output_roi[1])})};
}
void ROIPooling::eval(EvalCtx& ctx) const {
  const Tensor &x = ctx.input(0), &boxes = ctx.input(1);
  if (x.rank() != 4 || boxes.rank() != 2 || boxes.shape()[1] != 5 || output_roi.size() != 2 || output_roi[0] < 1 ||
      output_roi[1] < 1) {
    ctx.fail("data " + to_string(x.shape()) + " and boxes " + to_string(boxes.shape()) + " do not fit");
  }
  const int64_t channels = x.shape()[1], height = x.shape()[2], width = x.shape()[3], rows = output_roi[0],
                columns = output_roi[1];
  Tensor y = ctx.output(0, x.element_type(), {boxes.shape()[0], channels, rows, columns});
  const auto pixel = [](double v) { return std::isfinite(v) ? std::llround(std::clamp(v, -1e9, 1e9)) : 0ll; };
  for (int64_t r = 0; r < boxes.shape()[0]; ++r) {
    double box[5];
    for (int64_t k = 0; k < 5; ++k) box[k] = get_element(boxes, static_cast<size_t>(r * 5 + k));
    if (!(box[0] >= 0) || box[0] >= static_cast<double>(x.shape()[0]))
      ctx.fail("a box lies in image " + std::to_string(box[0]) + " of " + std::to_string(x.shape()[0]));
    const auto image = static_cast<int64_t>(box[0]);
    const int64_t x1 = pixel(box[1] * spatial_scale), y1 = pixel(box[2] * spatial_scale),
                  x2 = pixel(box[3] * spatial_scale), y2 = pixel(box[4] * spatial_scale);
    // Bin `i` of `n` over the box from `low` to `high`, both included, cut to the map.
    struct Bin {
      int64_t begin, end;
    };
    const auto bin = [](int64_t i, int64_t n, int64_t low, int64_t high, int64_t size) {
      const double step = static_cast<double>(std::max<int64_t>(high - low + 1, 1)) / static_cast<double>(n);
      const auto begin = static_cast<int64_t>(std::floor(static_cast<double>(i) * step)),
                 end = static_cast<int64_t>(std::ceil(static_cast<double>(i + 1) * step));
      return Bin{std::clamp<int64_t>(begin + low, 0, size), std::clamp<int64_t>(end + low, 0, size)};
    };
    // Position `i` of `n` between two normalized coordinates, in pixels.
    const auto position = [](int64_t i, int64_t n, double low, double high, int64_t size) {
      const auto top = static_cast<double>(size - 1);
      if (n == 1) return (low + high) * top / 2;
      return low * top + static_cast<double>(i) * (high - low) * top / static_cast<double>(n - 1);
    };
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t plane = (image * channels + c) * height * width;
      const auto at = [&](int64_t iy, int64_t ix) {
        return get_element(x, static_cast<size_t>(plane + iy * width + ix));
      };
      for (int64_t o = 0; o < rows * columns; ++o) {
        double value = 0;
        if (method == RoiMethod::max) {
          const Bin v = bin(o / columns, rows, y1, y2, height), h = bin(o % columns, columns, x1, x2, width);
          if (v.begin < v.end && h.begin < h.end) value = -INFINITY;
          for (int64_t iy = v.begin; iy < v.end; ++iy) {
            for (int64_t ix = h.begin; ix < h.end; ++ix) value = std::max(value, at(iy, ix));
          }
        } else {
          const double py = position(o / columns, rows, box[2], box[4], height),
                       px = position(o % columns, columns, box[1], box[3], width);
          if (py >= 0 && px >= 0 && py <= static_cast<double>(height - 1) && px <= static_cast<double>(width - 1)) {
            const auto top = static_cast<int64_t>(py), left = static_cast<int64_t>(px);
            const int64_t bottom = std::min(top + 1, height - 1), right = std::min(left + 1, width - 1);
            const double dy = py - static_cast<double>(top), dx = px - static_cast<double>(left);
            value = (at(top, left) * (1 - dx) + at(top, right) * dx) * (1 - dy) +
                    (at(bottom, left) * (1 - dx) + at(bottom, right) * dx) * dy;
          }
        }
        set_element(y, static_cast<size_t>((r * channels + c) * rows * columns + o), value);
      }
    }
  }
}
Samples ROIPooling::samples() {
  const auto values = [](Shape s, std::initializer_list<float> v) { return Tensor::of<float>(std::move(s), v); };
  const Tensor x = random_tensor({2, 2, 6, 7}, 1),
               boxes = values({3, 5}, {0, 0.3f, 0.4f, 4.2f, 5.1f, 1, 1, 1, 3, 2, 1, -1, -2, 8, 9}),
               normal = values({2, 5}, {0, 0.1f, 0.2f, 0.8f, 0.9f, 1, 0, 0, 1, 1});
  // Expected values from OpenVINO 2026.4.
  return {sample(ROIPooling{{2, 3}, 0.8}, {x, boxes},
                 {values({3, 2, 2, 3},
                         {0.49156353f,  0.94200552f,  0.94200552f,  0.9954958f,   0.9954958f,  0.63070118f,
                          0.82538033f,  0.91666418f,  0.91666418f,  0.64667118f,  0.9453761f,  0.9453761f,
                          -0.80639523f, 0.90578133f,  0.90578133f,  -0.38263127f, 0.47225967f, 0.47225967f,
                          -0.08019045f, -0.08019045f, -0.90644455f, 0.47680897f,  0.47680897f, 0.1733371f,
                          0.88167858f,  0.90578133f,  0.71191895f,  0.98060215f,  0.97696298f, 0.97696298f,
                          0.47680897f,  0.81319851f,  0.81319851f,  0.66268861f,  0.76753235f, 0.87049979f})}),
          sample(ROIPooling{{2, 3}, 1, RoiMethod::bilinear}, {x, normal},
                 {values({2, 2, 2, 3},
                         {-0.23893584f, 0.042197149f, -0.029931262f, 0.15425351f,  0.38706625f,  0.25380063f,
                          0.092379637f, -0.465092f,   0.0059288084f, 0.38620001f,  0.26299077f,  -0.12806197f,
                          0.37013945f,  -0.74649972f, 0.5608319f,    0.12517533f,  0.94025713f,  -0.60630989f,
                          -0.81234521f, -0.35499215f, 0.1735068f,    -0.67891634f, -0.42098534f, -0.12412984f})}),
          sample(ROIPooling{{1, 1}, 1, RoiMethod::bilinear}, {x, normal},
                 {values({2, 2, 1, 1}, {-0.26117116f, -0.38450819f, 0.4366627f, -0.20583905f})})};
}
HONE_DEFINE_OP(ROIPooling)

}  // namespace hone
