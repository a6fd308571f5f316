#include "cpu/onednn/product.hpp"

#include <algorithm>

#include "cpu/features.hpp"
#include "cpu/kernels/conv/geometry.hpp"
#include "ops/matmul.hpp"

namespace hone::cpu::onednn {
namespace {

using dnnl::memory;
using type = memory::data_type;
using tag = memory::format_tag;

NodeProduct refuse(std::string why) {
  NodeProduct n;
  n.refusal = std::move(why);
  return n;
}

bool is_byte(ElementType t) {
  return t == ElementType::u8 || t == ElementType::i8;
}

size_t bytes_of(ElementType t) {
  return byte_size(t, 1);
}

}  // namespace

type type_of(ElementType t) {
  switch (t) {
    case ElementType::f32:
      return type::f32;
    case ElementType::bf16:
      return type::bf16;
    case ElementType::u8:
      return type::u8;
    case ElementType::i8:
      return type::s8;
    default:
      return type::undef;
  }
}

std::string settle_types(const KernelQuery& q, Kind kind, int64_t columns, NodeProduct& n) {
  const TensorDesc &x = q.inputs[0], &w = q.inputs[1], &y = q.outputs[0];
  const auto is = [](const char* what, ElementType t) { return std::string(what) + " " + name_of(t); };
#if defined(__x86_64__)
  // Without VNNI oneDNN's sums of bytes saturate.
  if (kind == Kind::int8 && !features().avx512_vnni) return "the CPU has no VNNI";
  if (kind == Kind::bf16 && !features().avx512_bf16) return "the CPU has no AVX512_BF16";
  if (!features().avx2) return "the CPU has no AVX2";
#endif
  if (type_of(y.type) == type::undef) return is("writes no", y.type);
  if (kind == Kind::int8) {
    if (!is_byte(x.type)) return is("the activations are", x.type) + ", not 8-bit integers";
    if (w.type != ElementType::i8) return is("the weights are", w.type) + ", not i8";
    if (!w.constant) return "integer weights must be constant";
    if (!x.quantization || x.quantization->scales.size() != 1) return "the activations need one scale for the tensor";
    if (!w.quantization) return "the weights have no scales";
    for (int32_t z : w.quantization->zero_points) {
      if (z != 0) return "the weights have zero points";
    }
    const size_t count = w.quantization->scales.size();
    if (count != 1 && int64_t(count) != columns) return "the weights need one scale, or one for each output channel";
  } else {
    const ElementType wanted = kind == Kind::bf16 ? ElementType::bf16 : ElementType::f32;
    if (x.type != wanted) return is("the activations are", x.type);
    if (w.constant ? !is_float(w.type) : w.type != wanted) return is("the weights are", w.type);
    if (is_byte(y.type) || (kind == Kind::f32 && y.type != ElementType::f32))
      return is("oneDNN converts no sums to", y.type);
  }
  PostOps post = post_ops_of(q, kind == Kind::int8);
  if (!post.refusal.empty()) return post.refusal;
  n.whole.product.steps = std::move(post.steps);
  n.bias = post.bias;
  n.bias_factor = post.factor;
  if (n.bias >= 0 && q.inputs[q.epilogue.operands[size_t(n.bias)].input].size() != size_t(columns))
    return "the bias has another size than the channels";
  if (kind == Kind::int8) {
    const Quantization& scales = *w.quantization;
    for (float s : scales.scales) n.whole.product.scales.push_back(x.quantization->scale(0) * s * post.factor);
    n.whole.product.zero_point = x.quantization->zero_point(0);
  }
  return {};
}

namespace {

// Output rows [first, end) of images [image, image + images) with the input rows that they need.
struct Rows {
  int64_t image, images, first, end;
};

class ConvolutionMaker {
 public:
  ConvolutionMaker(const KernelQuery& q, const Window& w, NodeProduct& n, int64_t columns)
      : q_(q), w_(w), n_(n), columns_(columns), plain_(q.inputs[0].layout == Layout::plain) {}

  // Nothing where the rows lie in the padding alone.
  std::optional<Band> band(const Rows& r) const {
    const int64_t reach = (w_.kernel_h - 1) * w_.dilation_h;
    const int64_t from = r.first * w_.stride_h - w_.pad_top, to = (r.end - 1) * w_.stride_h - w_.pad_top + reach;
    const int64_t low = std::max<int64_t>(from, 0), high = std::min(to, w_.in_h - 1);
    if (high < low) return std::nullopt;
    const bool whole = r.first == 0 && r.end == w_.out_h;
    const int64_t rows = whole ? w_.in_h : high - low + 1, top = whole ? w_.pad_top : low - from;
    const int64_t bottom = std::max<int64_t>(0, whole ? to - (w_.in_h - 1) : to - high);
    const int64_t right = std::max<int64_t>(
        0, (w_.out_w - 1) * w_.stride_w - w_.pad_left + (w_.kernel_w - 1) * w_.dilation_w - (w_.in_w - 1));
    if (plain_ && !whole) return std::nullopt;  // rows of planes do not lie side by side
    Band b;
    b.product = n_.whole.product;
    Product& p = b.product;
    p.source = memory::desc({r.images, w_.channels, rows, w_.in_w}, type_of(q_.inputs[0].type),
                            plain_ ? tag::nchw : tag::nhwc);
    const memory::dims result{r.images, columns_, r.end - r.first, w_.out_w};
    p.result = memory::desc(result, type_of(q_.outputs[0].type), tag::nhwc);
    p.strides = {w_.stride_h, w_.stride_w};
    p.dilations = {w_.dilation_h - 1, w_.dilation_w - 1};
    p.pads_begin = {top, w_.pad_left};
    p.pads_end = {bottom, right};
    const int64_t skip = (r.image * w_.out_h + r.first) * w_.out_w * columns_;  // elements of the result
    b.source = size_t((r.image * w_.in_h + (whole ? 0 : low)) * w_.in_w * w_.channels) * bytes_of(q_.inputs[0].type);
    b.result = size_t(skip) * bytes_of(q_.outputs[0].type);
    for (const EpilogueOperand& o : q_.epilogue.operands) {
      const TensorDesc& d = q_.inputs[o.input];
      const bool full = o.spread == Spread::full;
      const memory::dims dims = full                         ? result
                                : o.spread == Spread::scalar ? memory::dims{1, 1, 1, 1}
                                                             : memory::dims{1, columns_, 1, 1};
      p.operands.emplace_back(dims, type_of(d.type), tag::nhwc);
      b.operands.push_back(full ? size_t(skip) * bytes_of(d.type) : 0);
    }
    return b;
  }

 private:
  const KernelQuery& q_;
  const Window& w_;
  NodeProduct& n_;
  int64_t columns_;
  bool plain_;
};

// [begin, end) of the t-th of `parts`.
std::pair<int64_t, int64_t> part(int64_t n, int64_t parts, int64_t t) {
  return {n * t / parts, n * (t + 1) / parts};
}

}  // namespace

NodeProduct convolution_of(const KernelQuery& q, Kind kind) {
  const bool grouped = q.op == "GroupConvolution";
  const TensorDesc &x = q.inputs[0], &y = q.outputs[0];
  const Shape& w = q.inputs[1].shape;
  const size_t lead = grouped ? 3 : 2;
  std::optional<Window> window;
  if (w.size() > lead) {
    const auto read = [&](const auto& c) {
      window = window_of(x.shape, y.shape, {w.begin() + int64_t(lead), w.end()}, c.strides, c.dilations, c.pads_begin,
                         c.auto_pad);
    };
    if (grouped)
      read(q.attrs<GroupConvolution>());
    else
      read(q.attrs<Convolution>());
  }
  if (!window) return refuse("takes one or two spatial dimensions");
  if (x.size() == 0 || y.size() == 0) return refuse("there is nothing to compute");
  if (y.layout != Layout::channels_last) return refuse("writes channels-last only");
  if (x.layout != Layout::channels_last && (window->channels > 16 || grouped))
    return refuse("reads the plain layout only where the input has at most 16 channels");
  if (q.inputs[1].layout != Layout::plain) return refuse("the weights lie in another layout than the plain one");
  const int64_t columns = grouped ? w[0] * w[1] : w[0];
  NodeProduct n;
  n.refusal = settle_types(q, kind, columns, n);
  if (!n.refusal.empty()) return n;
  Product& p = n.whole.product;
  p.grouped = grouped;
  const memory::dims taps{window->kernel_h, window->kernel_w};
  memory::dims dims(w.begin(), w.begin() + int64_t(lead));
  dims.insert(dims.end(), taps.begin(), taps.end());
  const type weights = kind == Kind::int8 ? type::s8 : kind == Kind::bf16 ? type::bf16 : type::f32;
  n.given_weights = memory::desc(dims, weights, grouped ? tag::goihw : tag::oihw);
  n.packs = q.inputs[1].constant;
  p.weights = n.packs ? memory::desc(dims, weights, tag::any) : n.given_weights;
  if (n.bias >= 0) p.bias = memory::desc({columns}, type::f32, tag::x);
  const ConvolutionMaker maker(q, *window, n, columns);
  const auto whole = maker.band({0, window->images, 0, window->out_h});
  if (!whole) return refuse("the windows lie in the padding");
  // Images where there are several, else rows.
  const bool by_image = window->images > 1;
  const int64_t units = by_image ? window->images : window->out_h, parts = std::min<int64_t>(units, q.threads);
  for (int64_t t = 0; t < parts && parts > 1; ++t) {
    const auto [begin, end] = part(units, parts, t);
    const auto band = maker.band(by_image ? Rows{begin, end - begin, 0, window->out_h} : Rows{0, 1, begin, end});
    if (!band) {
      n.bands.clear();
      break;
    }
    n.bands.push_back(*band);
  }
  n.whole = *whole;
  if (n.bands.empty()) n.bands = {n.whole};
  n.operations = 2.0 * double(y.size()) * double(element_count(w)) / double(columns);
  return n;
}

NodeProduct matrix_product_of(const KernelQuery& q, Kind kind) {
  const auto attrs = q.attrs<MatMul>();
  const TensorDesc &da = q.inputs[0], &db = q.inputs[1], &dy = q.outputs[0];
  for (const TensorDesc* d : {&da, &db, &dy}) {
    if (d->layout != Layout::plain && d->shape.size() > 2) return refuse("takes the plain layout only");
  }
  Shape a = da.shape, b = db.shape;
  if (a.empty() || b.empty()) return refuse("a factor is a scalar");
  const bool ta = attrs.transpose_a && a.size() > 1, tb = attrs.transpose_b && b.size() > 1;
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const int64_t m = a[a.size() - (ta ? 1 : 2)], k = a[a.size() - (ta ? 2 : 1)], columns = b[b.size() - (tb ? 2 : 1)];
  if (b[b.size() - (tb ? 1 : 2)] != k) return refuse("the factors do not fit");
  const Shape lead_a(a.begin(), a.end() - 2), lead_b(b.begin(), b.end() - 2);
  const int64_t num_a = element_count(lead_a), num_b = element_count(lead_b);
  if (num_a * m * k == 0 || num_b * columns == 0) return refuse("there is nothing to compute");
  const bool one_b = num_b == 1 && lead_b.size() <= lead_a.size();
  if (!one_b && lead_a != lead_b) return refuse("the factors' batches differ");
  for (const EpilogueOperand& o : q.epilogue.operands) {
    if (o.spread == Spread::per_row) return refuse("a matrix product has no operand per row");
  }
  NodeProduct n;
  n.refusal = settle_types(q, kind, columns, n);
  if (!n.refusal.empty()) return n;
  if (!one_b && n.whole.product.scales.size() > 1)
    return refuse("several right factors have one scale for the tensor only");
  // One right factor for all rows: the batch joins them.
  const bool flat = one_b && !ta;
  const int64_t batch = flat ? 1 : num_a, rows = flat ? m * num_a : m;
  const type xt = type_of(da.type), yt = type_of(dy.type);
  const type wt = kind == Kind::int8 ? type::s8 : kind == Kind::bf16 ? type::bf16 : type::f32;
  const auto matrix = [&](int64_t count, int64_t r, int64_t c, int64_t row, int64_t column, type t) {
    if (flat) return memory::desc({r, c}, t, memory::dims{row, column});
    return memory::desc({count, r, c}, t, memory::dims{r * c, row, column});
  };
  n.given_weights = matrix(one_b ? 1 : batch, k, columns, tb ? 1 : columns, tb ? k : 1, wt);
  const memory::dims weight_dims = flat ? memory::dims{k, columns} : memory::dims{one_b ? 1 : batch, k, columns};
  n.packs = db.constant && flat;
  if (db.constant && !flat) {
    // A batch of packed factors cannot be cut, so these stay as the graph has them.
    if (db.type != (kind == Kind::bf16 ? ElementType::bf16 : kind == Kind::f32 ? ElementType::f32 : ElementType::i8))
      return refuse("several constant right factors of another type");
  }
  const auto band = [&](int64_t first, int64_t count) {  // rows, or matrices of a batch
    Band s;
    s.product = n.whole.product;
    Product& p = s.product;
    p.convolution = false;
    const int64_t matrices = flat ? 1 : count, band_rows = flat ? count : m;
    p.source = matrix(matrices, band_rows, k, ta ? 1 : k, ta ? m : 1, xt);
    p.result = matrix(matrices, band_rows, columns, columns, 1, yt);
    p.weights = n.packs         ? memory::desc(weight_dims, wt, tag::any)
                : flat || one_b ? n.given_weights
                                : matrix(matrices, k, columns, tb ? 1 : columns, tb ? k : 1, wt);
    if (n.bias >= 0)
      p.bias =
          flat ? memory::desc({1, columns}, type::f32, tag::ab) : memory::desc({1, 1, columns}, type::f32, tag::abc);
    const size_t skip = size_t(first * (flat ? columns : m * columns));
    s.source = size_t(first * (flat ? k : m * k)) * bytes_of(da.type);
    s.weights = flat || one_b ? 0 : size_t(first * k * columns) * bytes_of(db.type);
    s.result = skip * bytes_of(dy.type);
    for (const EpilogueOperand& o : q.epilogue.operands) {
      const TensorDesc& d = q.inputs[o.input];
      const bool full = o.spread == Spread::full;
      const int64_t last = o.spread == Spread::scalar ? 1 : columns;
      p.operands.push_back(full ? matrix(matrices, band_rows, columns, columns, 1, type_of(d.type))
                                : matrix(1, 1, last, last, 1, type_of(d.type)));
      s.operands.push_back(full ? skip * bytes_of(d.type) : 0);
    }
    return s;
  };
  // Bands of fewer rows would read the right factor again for little work.
  constexpr int64_t least_rows = 16;
  const int64_t units = flat ? rows : batch, most = flat ? (rows + least_rows - 1) / least_rows : batch;
  const int64_t parts = std::min<int64_t>(most, q.threads);
  for (int64_t t = 0; t < parts && parts > 1; ++t) {
    const auto [begin, end] = part(units, parts, t);
    n.bands.push_back(band(begin, end - begin));
  }
  n.whole = band(0, units);
  if (n.bands.empty()) n.bands = {n.whole};
  n.operations = 2.0 * double(dy.size()) * double(k);
  return n;
}

}  // namespace hone::cpu::onednn
