#include "ops/spectral.hpp"

#include "ops/family.hpp"
#include "ops/fourier.hpp"

namespace hone {

using fourier::Complex;
using fourier::Transform;

namespace {

struct Field {
  Shape shape;
  std::vector<Complex> values;
};

// One axis cut or padded with zeros to `size`.
Field resized(const Field& f, size_t axis, int64_t size) {
  if (f.shape[axis] == size) return f;
  Field out;
  out.shape = f.shape;
  out.shape[axis] = size;
  out.values.resize(static_cast<size_t>(element_count(out.shape)));
  int64_t inner = 1;
  for (size_t k = axis + 1; k < f.shape.size(); ++k) inner *= f.shape[k];
  const int64_t from = f.shape[axis],
                outer = static_cast<int64_t>(f.values.size()) / std::max<int64_t>(1, from * inner),
                n = std::min(from, size) * inner;
  for (int64_t o = 0; o < outer; ++o) {
    std::copy_n(f.values.begin() + o * from * inner, n, out.values.begin() + o * size * inner);
  }
  return out;
}

void transform_axis(Field& f, size_t axis, bool inverse) {
  const auto n = static_cast<size_t>(f.shape[axis]);
  if (n == 0 || f.values.empty()) return;
  size_t inner = 1;
  for (size_t k = axis + 1; k < f.shape.size(); ++k) inner *= static_cast<size_t>(f.shape[k]);
  Transform t(n, inverse);
  std::vector<Complex> line(n);
  for (size_t l = 0; l < f.values.size() / n; ++l) {
    Complex* at = f.values.data() + l / inner * n * inner + l % inner;
    for (size_t i = 0; i < n; ++i) line[i] = at[i * inner];
    t.run(line);
    for (size_t i = 0; i < n; ++i) at[i * inner] = line[i];
  }
}

Field complex_field(const EvalCtx& ctx, const Tensor& x) {
  if (x.rank() < 2 || x.shape().back() != 2)
    ctx.fail("data " + to_string(x.shape()) + " is not complex: the last axis is not of size 2");
  Field f;
  f.shape = Shape(x.shape().begin(), x.shape().end() - 1);
  f.values.resize(x.size() / 2);
  for (size_t i = 0; i < f.values.size(); ++i) f.values[i] = {get_element(x, 2 * i), get_element(x, 2 * i + 1)};
  return f;
}
Field real_field(const Tensor& x) {
  Field f;
  f.shape = x.shape();
  f.values.resize(x.size());
  for (size_t i = 0; i < x.size(); ++i) f.values[i] = get_element(x, i);
  return f;
}
void write_complex(EvalCtx& ctx, const Field& f, ElementType type) {
  Shape shape = f.shape;
  shape.push_back(2);
  Tensor y = ctx.output(0, type, shape);
  for (size_t i = 0; i < f.values.size(); ++i) {
    set_element(y, 2 * i, f.values[i].real());
    set_element(y, 2 * i + 1, f.values[i].imag());
  }
}
void write_real(EvalCtx& ctx, const Field& f, ElementType type) {
  Tensor y = ctx.output(0, type, f.shape);
  for (size_t i = 0; i < f.values.size(); ++i) set_element(y, i, f.values[i].real());
}

// Axes among `rank` and their sizes (-1: as they are), checked.
struct Axes {
  std::vector<size_t> axes;
  std::vector<int64_t> sizes;
};
Axes read_axes(const auto& ctx, const std::vector<int64_t>& axes, const std::vector<int64_t>* sizes, size_t rank) {
  Axes out;
  const auto n = static_cast<int64_t>(rank);
  for (int64_t a : axes) {
    if (a < -n || a >= n) ctx.fail("axis " + std::to_string(a) + " is outside of rank " + std::to_string(rank));
    out.axes.push_back(static_cast<size_t>(a < 0 ? a + n : a));
    if (std::count(out.axes.begin(), out.axes.end(), out.axes.back()) > 1)
      ctx.fail("axis " + std::to_string(a) + " is given twice");
  }
  if (axes.empty()) ctx.fail("no axes are given");
  out.sizes.assign(axes.size(), -1);
  if (sizes) {
    if (sizes->size() != axes.size())
      ctx.fail(std::to_string(sizes->size()) + " signal sizes for " + std::to_string(axes.size()) + " axes");
    out.sizes = *sizes;
  }
  for (int64_t s : out.sizes) {
    if (s < -1 || s == 0 || s > fourier::most_points) ctx.fail("a signal size of " + std::to_string(s));
  }
  return out;
}
Axes eval_axes(const EvalCtx& ctx, size_t rank) {
  const auto axes = ctx.input(1).to_ints();
  if (!ctx.has(2)) return read_axes(ctx, axes, nullptr, rank);
  const auto sizes = ctx.input(2).to_ints();
  return read_axes(ctx, axes, &sizes, rank);
}

// `rank` counts the axes of the complex field. nullopt where the axes are not constant.
std::optional<Axes> infer_axes(InferCtx& ctx, size_t rank) {
  const Tensor axes = ctx.constant(1);
  if (!axes) return std::nullopt;
  if (!ctx.has(2)) return read_axes(ctx, axes.to_ints(), nullptr, rank);
  const Tensor sizes = ctx.constant(2);
  if (!sizes) return std::nullopt;
  const auto list = sizes.to_ints();
  return read_axes(ctx, axes.to_ints(), &list, rank);
}

enum class Kind { complex, real_forward, real_inverse };
Types infer_transform(InferCtx& ctx, Kind kind) {
  const ElementType e = ctx.element(0);
  ctx.check(is_float(e) || e == ElementType::dynamic, std::string("is not defined on ") + name_of(e));
  const PartialShape& x = ctx.shape(0);
  if (!x.rank_known()) return {Type(e, PartialShape::dynamic())};
  const bool complex_in = kind != Kind::real_forward;
  if (complex_in)
    ctx.check(x.rank() >= 2 && x[x.rank() - 1].compatible(Dimension(2)),
              "data " + to_string(x) + " is not complex: the last axis is not of size 2");
  std::vector<Dimension> out(x.begin(), x.end() - (complex_in ? 1 : 0));
  if (const auto a = infer_axes(ctx, out.size())) {
    for (size_t i = 0; i < a->axes.size(); ++i) {
      Dimension& d = out[a->axes[i]];
      const bool last = i + 1 == a->axes.size();
      if (a->sizes[i] > 0)
        d = Dimension(a->sizes[i]);
      else if (kind == Kind::real_inverse && last)
        d = (d - Dimension(1)) * Dimension(2);
      if (kind == Kind::real_forward && last) d = d / 2 + Dimension(1);
    }
  } else {
    out.assign(out.size(), Dimension());
  }
  if (kind != Kind::real_inverse) out.emplace_back(2);
  return {Type(e, PartialShape(std::move(out)))};
}

void eval_complex(EvalCtx& ctx, bool inverse) {
  const Tensor& x = ctx.input(0);
  Field f = complex_field(ctx, x);
  const Axes a = eval_axes(ctx, f.shape.size());
  for (size_t i = 0; i < a.axes.size(); ++i) {
    f = resized(f, a.axes[i], a.sizes[i] < 0 ? f.shape[a.axes[i]] : a.sizes[i]);
    transform_axis(f, a.axes[i], inverse);
  }
  write_complex(ctx, f, x.element_type());
}

Tensor values(Shape s, std::initializer_list<float> v) {
  return Tensor::of<float>(std::move(s), v);
}

}  // namespace

Types DFT::infer(InferCtx& ctx) const {
  return infer_transform(ctx, Kind::complex);
}
void DFT::eval(EvalCtx& ctx) const {
  eval_complex(ctx, false);
}
Samples DFT::samples() {
  const Tensor x = random_tensor({2, 3, 4, 2}, 1);
  // Expected values from OpenVINO 2026.4.
  return {
      sample(DFT{}, {x, int_tensor({1, 2})},
             {values({2, 3, 4, 2},
                     {0.6572232f,    0.9536644f,   3.3062701f,   1.46617f,     -2.8069525f, 1.9644035f,  -1.1773019f,
                      2.4567935f,    2.5820508f,   1.4855111f,   -1.959486f,   0.7907396f,  0.03801775f, 0.0065271854f,
                      0.0005919337f, -0.26096493f, 1.9157922f,   0.41743982f,  -1.0852512f, -2.9215093f, -2.2562163f,
                      1.2765678f,    2.3827386f,   -1.7365805f,  -0.5045812f,  2.1889868f,  1.1499933f,  -1.310164f,
                      0.51352894f,   0.93254006f,  -0.79166985f, -4.2508254f,  -1.3764223f, 0.4274596f,  1.0531945f,
                      -0.6046142f,   -3.8921695f,  1.0219558f,   -0.39032245f, -1.8310032f, -1.4548063f, -0.5403559f,
                      0.018844128f,  -3.2903082f,  -1.3176346f,  -3.482797f,   1.8779169f,  -0.11124539f})}),
      sample(
          DFT{}, {x, int_tensor({-1}), int_tensor({6})},
          {values({2, 3, 6, 2},
                  {1.7183554f,   0.95220506f,   0.26413754f,  -0.5923704f,  -0.079166114f, -0.58189285f, -1.6750501f,
                   1.0824996f,   1.0242722f,    1.242781f,    -0.45380995f, 0.8461582f,    -0.83889174f, 0.19306195f,
                   -0.11701734f, 1.5733451f,    -0.28563696f, -0.12545541f, -0.19932196f,  1.1032405f,   -0.5466273f,
                   -0.30141696f, -0.5864012f,   1.0851843f,   -0.22224051f, -0.19160265f,  0.8553128f,   2.6244502f,
                   1.9254446f,   -1.1553216f,   -0.9325803f,  -0.22133625f, -0.8559167f,   0.97768116f,  0.97399545f,
                   1.7503358f,   -1.1119366f,   0.6920301f,   1.0822766f,   -0.5979951f,   -0.281604f,   -2.2596583f,
                   -1.5654247f,  -0.5094335f,   0.7021217f,   -0.625394f,   -1.3824974f,   -2.1247344f,  0.024293363f,
                   0.7711058f,   -0.6506286f,   -0.3259479f,  0.25504673f,  0.44011104f,   -0.26093313f, -0.022217644f,
                   1.0118765f,   -0.5658561f,   -1.6136239f,  -1.0293546f,  0.583062f,     0.7258508f,   1.3005887f,
                   0.73257196f,  -0.049877703f, 0.33475643f,  2.339887f,    1.4641912f,    0.5843843f,   -1.8564557f,
                   -0.41610536f, 1.0972371f})}),
      sample(DFT{}, {values({4, 2}, {1, 0, 0, 0, 0, 0, 0, 0}), int_tensor({0}), int_tensor({2})},
             {values({2, 2}, {1, 0, 1, 0})})};
}
HONE_DEFINE_OP(DFT)

Types IDFT::infer(InferCtx& ctx) const {
  return infer_transform(ctx, Kind::complex);
}
void IDFT::eval(EvalCtx& ctx) const {
  eval_complex(ctx, true);
}
Samples IDFT::samples() {
  return {sample(IDFT{}, {random_tensor({2, 3, 4, 2}, 1), int_tensor({2}), int_tensor({3})},
                 {values({2, 3, 3, 2},
                         {0.32121938f,  0.3020236f,  0.08985826f,  0.39888236f,  -0.27795443f,  -0.2093424f,
                          -0.23694085f, 0.28633067f, -0.13951927f, 0.12150435f,  -0.052522555f, 0.18015823f,
                          -0.07133347f, 0.18739319f, -0.28255892f, 0.5771544f,   0.6445617f,    -0.13384631f,
                          -0.4358803f,  0.1729466f,  0.16880576f,  -0.2661946f,  -0.15910265f,  -0.81094956f,
                          -0.20392454f, 0.14465296f, 0.12526986f,  -0.3010009f,  -0.12700678f,  0.034321368f,
                          0.3113985f,   0.46916407f, 0.31183952f,  -0.39160475f, 0.10041862f,   0.33879918f})}),
          sample(IDFT{}, {random_tensor({5, 2}, 1), int_tensor({0}), int_tensor({-1})})};
}
HONE_DEFINE_OP(IDFT)

Types RDFT::infer(InferCtx& ctx) const {
  return infer_transform(ctx, Kind::real_forward);
}
void RDFT::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Field f = real_field(x);
  const Axes a = eval_axes(ctx, f.shape.size());
  for (size_t i = 0; i < a.axes.size(); ++i) {
    f = resized(f, a.axes[i], a.sizes[i] < 0 ? f.shape[a.axes[i]] : a.sizes[i]);
    transform_axis(f, a.axes[i], false);
  }
  write_complex(ctx, resized(f, a.axes.back(), f.shape[a.axes.back()] / 2 + 1), x.element_type());
}
Samples RDFT::samples() {
  return {
      sample(RDFT{}, {random_tensor({2, 3, 4}, 1), int_tensor({1, 2})},
             {values({2, 3, 3, 2}, {2.848696f,   0.0f,         -1.9123173f,  -1.459652f,   -0.6533819f, 0.0f,
                                    0.75876784f, -0.89808065f, -0.34593415f, 0.3702026f,   1.3689611f,  -1.2911018f,
                                    0.75876784f, 0.89808065f,  -0.1683956f,  -0.7190858f,  1.3689611f,  1.2911018f,
                                    -1.2378083f, 0.0f,         -0.89463514f, -0.5047516f,  0.35694072f, 0.0f,
                                    -0.617044f,  -3.9150429f,  0.55148494f,  -1.5184039f,  0.40289763f, 1.2643142f,
                                    -0.617044f,  3.9150429f,   0.45698524f,  -0.15510869f, 0.40289763f, -1.2643142f})}),
      sample(RDFT{}, {values({2}, {1, 2}), int_tensor({-1}), int_tensor({3})},
             {values({2, 2}, {3, 0, 0, -1.7320508f})})};
}
HONE_DEFINE_OP(RDFT)

Types IRDFT::infer(InferCtx& ctx) const {
  return infer_transform(ctx, Kind::real_inverse);
}
void IRDFT::eval(EvalCtx& ctx) const {
  const Tensor& x = ctx.input(0);
  Field f = complex_field(ctx, x);
  const Axes a = eval_axes(ctx, f.shape.size());
  for (size_t i = 0; i + 1 < a.axes.size(); ++i) {
    f = resized(f, a.axes[i], a.sizes[i] < 0 ? f.shape[a.axes[i]] : a.sizes[i]);
    transform_axis(f, a.axes[i], true);
  }
  // The second half of the last axis is the conjugate of the first one.
  const size_t axis = a.axes.back();
  const int64_t n = a.sizes.back() < 0 ? 2 * (f.shape[axis] - 1) : a.sizes.back();
  if (n < 1) ctx.fail("the signal has no elements");
  f = resized(resized(f, axis, n / 2 + 1), axis, n);
  size_t inner = 1;
  for (size_t k = axis + 1; k < f.shape.size(); ++k) inner *= static_cast<size_t>(f.shape[k]);
  const auto size = static_cast<size_t>(n);
  for (size_t l = 0; l < f.values.size() / size; ++l) {
    Complex* at = f.values.data() + l / inner * size * inner + l % inner;
    at[0] = at[0].real();
    if (size % 2 == 0) at[size / 2 * inner] = at[size / 2 * inner].real();
    for (size_t i = size / 2 + 1; i < size; ++i) at[i * inner] = std::conj(at[(size - i) * inner]);
  }
  transform_axis(f, axis, true);
  write_real(ctx, f, x.element_type());
}
Samples IRDFT::samples() {
  return {sample(IRDFT{}, {random_tensor({2, 3, 4, 2}, 1), int_tensor({1, 2})},
                 {values({2, 3, 6},
                         {0.03895826f,   0.027285973f, -0.07609672f, -0.27724037f, 0.1393381f,    0.14602466f,
                          0.15808602f,   0.020242611f, 0.2600286f,   -0.22249608f, -0.25377533f,  0.1176695f,
                          0.22777076f,   -0.09520286f, 0.009522069f, 0.04498202f,  -0.059921544f, -0.07205259f,
                          -0.087867655f, -0.35753503f, 0.22357275f,  0.078659885f, -0.04029584f,  0.21407181f,
                          -0.10342409f,  0.12988667f,  -0.07663467f, -0.18030037f, 0.0053956634f, 0.15210356f,
                          -0.14094159f,  -0.12953687f, 0.12551458f,  -0.31652084f, -0.02055561f,  0.09823039f})}),
          sample(IRDFT{}, {values({2, 2}, {3, 0, 0, -1.7320508f}), int_tensor({0}), int_tensor({3})},
                 {values({3}, {1, 2, 0})})};
}
HONE_DEFINE_OP(IRDFT)

}  // namespace hone
