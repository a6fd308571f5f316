#include "ops/einsum.hpp"

#include <algorithm>
#include <map>

#include "ops/axes.hpp"
#include "ops/basic.hpp"
#include "ops/binary.hpp"
#include "ops/elementwise.hpp"
#include "ops/family.hpp"
#include "ops/matmul.hpp"
#include "ops/movement.hpp"
#include "ops/reduce.hpp"

namespace hone {
namespace {

// Letters as their codes; the axes of an ellipsis are negative numbers, -1 the last of them.
using Labels = std::vector<int>;
struct Notation {
  std::vector<Labels> inputs;
  Labels output;
};

// One term with its ellipsis spelled out for `dots` axes (-1: unknown).
Labels parse_term(const std::string& term, int dots) {
  Labels out;
  for (size_t i = 0; i < term.size(); ++i) {
    if (term.compare(i, 3, "...") == 0) {
      for (int k = dots; k > 0; --k) out.push_back(-k);
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(term[i]))) {
      out.push_back(term[i]);
    } else {
      throw Error(ErrorCode::failed, "the equation holds '" + std::string(1, term[i]) + "'");
    }
  }
  return out;
}

Notation parse(const std::string& equation, const std::vector<size_t>& ranks) {
  std::string text;
  for (char c : equation) {
    if (c != ' ') text += c;
  }
  const size_t arrow = text.find("->");
  std::vector<std::string> terms(1);
  for (char c : text.substr(0, arrow)) {
    if (c == ',')
      terms.emplace_back();
    else
      terms.back() += c;
  }
  if (terms.size() != ranks.size())
    throw Error(ErrorCode::failed, "the equation '" + equation + "' has " + std::to_string(terms.size()) +
                                       " operands, the node " + std::to_string(ranks.size()));
  Notation n;
  int most = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const bool has_dots = terms[i].find("...") != std::string::npos;
    const size_t letters = parse_term(terms[i], 0).size();
    if (ranks[i] < letters || (!has_dots && ranks[i] != letters))
      throw Error(ErrorCode::failed, "operand " + std::to_string(i) + " of rank " + std::to_string(ranks[i]) +
                                         " does not fit '" + terms[i] + "'");
    const int dots = static_cast<int>(ranks[i] - letters);
    n.inputs.push_back(parse_term(terms[i], dots));
    most = std::max(most, dots);
  }
  if (arrow != std::string::npos) {
    n.output = parse_term(text.substr(arrow + 2), most);
    for (size_t i = 0; i < n.output.size(); ++i) {
      const int label = n.output[i];
      const bool known = std::any_of(n.inputs.begin(), n.inputs.end(),
                                     [&](const Labels& l) { return std::count(l.begin(), l.end(), label); });
      if (!known || std::count(n.output.begin(), n.output.end(), label) != 1)
        throw Error(ErrorCode::failed, "the output of '" + equation + "' has a label that is unknown or repeated");
    }
    return n;
  }
  std::map<int, int> times;
  for (const Labels& l : n.inputs) {
    for (int label : l) ++times[label];
  }
  for (int k = most; k > 0; --k) n.output.push_back(-k);
  for (const auto& [label, count] : times) {
    if (label > 0 && count == 1) n.output.push_back(label);
  }
  return n;
}

// Position of a label; the length of the list where it is not there.
size_t find(const Labels& l, int label) {
  return static_cast<size_t>(std::find(l.begin(), l.end(), label) - l.begin());
}
bool holds(const Labels& l, int label) {
  return find(l, label) < l.size();
}

// Contraction with builders: every operand is a value with a label for each axis.
struct Operand {
  Value value;
  Labels labels;
};

Value size_of(Builder& b, const Operand& o, int label) {
  return dimension_value(b, o.value, find(o.labels, label));
}

void transpose_to(Builder& b, Operand& o, const Labels& order) {
  if (o.labels == order) return;
  std::vector<int64_t> perm;
  for (int label : order) perm.push_back(static_cast<int64_t>(find(o.labels, label)));
  o.value = b(Transpose{}, o.value, b.ints(perm));
  o.labels = order;
}

// A repeated label keeps its diagonal: multiply with the identity and sum one of the two axes away.
void take_diagonals(Builder& b, Operand& o) {
  for (size_t i = 0; i < o.labels.size(); ++i) {
    const size_t j =
        find(Labels(o.labels.begin() + static_cast<std::ptrdiff_t>(i) + 1, o.labels.end()), o.labels[i]) + i + 1;
    if (j >= o.labels.size()) continue;
    const Value n = b(Squeeze{}, dimension_value(b, o.value, i), b.ints({0}));
    const Value positions = b(Range{ElementType::i64}, b.scalar<int64_t>(0), n, b.scalar<int64_t>(1));
    const auto along = [&](size_t axis) {
      std::vector<int64_t> shape(o.labels.size(), 1);
      shape[axis] = -1;
      return b(Reshape{}, positions, b.ints(shape));
    };
    const Value on = b(Equal{}, along(i), along(j));
    o.value = b(ReduceSum{false}, b(Select{}, on, o.value, b.like(o.value, 0)), b.ints({static_cast<int64_t>(j)}));
    o.labels.erase(o.labels.begin() + static_cast<std::ptrdiff_t>(j));
    --i;
  }
}

// Sums away labels that nobody else needs.
void sum_out(Builder& b, Operand& o, const auto& needed) {
  std::vector<int64_t> axes;
  Labels kept;
  for (size_t i = 0; i < o.labels.size(); ++i) {
    if (needed(o.labels[i]))
      kept.push_back(o.labels[i]);
    else
      axes.push_back(static_cast<int64_t>(i));
  }
  if (axes.empty()) return;
  o.value = b(ReduceSum{false}, o.value, b.ints(axes));
  o.labels = kept;
}

// One product of two operands: batch labels, labels of one side, contracted labels. Ellipsis axes of size one
// broadcast, which MatMul's batch dimensions do too.
Operand multiply(Builder& b, Operand x, Operand y, const auto& needed) {
  Labels batch, left, right, inner;
  for (int l : x.labels) (holds(y.labels, l) ? (needed(l) ? batch : inner) : l < 0 ? batch : left).push_back(l);
  for (int l : y.labels) {
    if (!holds(x.labels, l)) (l < 0 ? batch : right).push_back(l);
  }
  std::sort(batch.begin(), batch.end());
  const auto arrange = [&](Operand& o, const Labels& first, const Labels& second) {
    Labels own_batch;
    for (int l : batch) {
      if (holds(o.labels, l)) own_batch.push_back(l);
    }
    Labels order = own_batch;
    order.insert(order.end(), first.begin(), first.end());
    order.insert(order.end(), second.begin(), second.end());
    transpose_to(b, o, order);
    if (own_batch.size() == batch.size() && first.size() == 1 && second.size() == 1) return;
    // [batch..., product of the first labels, product of the second]; missing batch axes have size one.
    Values parts;
    for (int l : batch) parts.push_back(holds(own_batch, l) ? size_of(b, o, l) : b.ints({1}));
    for (const Labels* group : {&first, &second}) {
      Value n = b.ints({1});
      for (int l : *group) n = group->size() == 1 ? size_of(b, o, l) : b(Multiply{}, n, size_of(b, o, l));
      parts.push_back(n);
    }
    o.value = b(Reshape{}, o.value, join(b, parts));
  };
  Values sizes;
  for (int l : left) sizes.push_back(size_of(b, x, l));
  for (int l : right) sizes.push_back(size_of(b, y, l));
  arrange(x, left, inner);
  arrange(y, inner, right);
  Operand out{b(MatMul{}, x.value, y.value), batch};
  out.labels.insert(out.labels.end(), left.begin(), left.end());
  out.labels.insert(out.labels.end(), right.begin(), right.end());
  if (left.size() != 1 || right.size() != 1) {
    Values parts;
    for (size_t i = 0; i < batch.size(); ++i) parts.push_back(dimension_value(b, out.value, i));
    parts.insert(parts.end(), sizes.begin(), sizes.end());
    out.value = b(Reshape{}, out.value, parts.empty() ? b.ints({}) : join(b, parts));
  }
  return out;
}

}  // namespace

Types Einsum::infer(InferCtx& ctx) const {
  const ElementType e = ctx.element(0);
  std::vector<size_t> ranks;
  for (size_t i = 0; i < ctx.num_inputs(); ++i) {
    if (!ctx.shape(i).rank_known()) return {Type(e, PartialShape::dynamic())};
    ranks.push_back(ctx.shape(i).rank());
  }
  try {
    const Notation n = parse(equation, ranks);
    std::map<int, Dimension> size;
    for (size_t i = 0; i < ranks.size(); ++i) {
      for (size_t k = 0; k < ranks[i]; ++k) {
        const int label = n.inputs[i][k];
        const auto [it, fresh] = size.try_emplace(label, ctx.shape(i)[k]);
        if (fresh) continue;
        if (label < 0)
          it->second = broadcast(PartialShape{it->second}, PartialShape{ctx.shape(i)[k]})[0];
        else
          it->second = Dimension::merge(it->second, ctx.shape(i)[k]);
      }
    }
    std::vector<Dimension> out;
    for (int label : n.output) out.push_back(size.at(label));
    return {Type(e, PartialShape(std::move(out)))};
  } catch (const Error& error) {
    ctx.fail(error.message());
  }
}

void Einsum::eval(EvalCtx& ctx) const {
  std::vector<size_t> ranks;
  for (size_t i = 0; i < ctx.num_inputs(); ++i) ranks.push_back(ctx.input(i).rank());
  const Notation n = parse(equation, ranks);
  // All labels, those of the output first, with their sizes and the stride each operand has along them.
  Labels labels = n.output;
  std::map<int, int64_t> size;
  for (size_t i = 0; i < ranks.size(); ++i) {
    for (size_t k = 0; k < ranks[i]; ++k) {
      const int label = n.inputs[i][k];
      const int64_t d = ctx.input(i).shape()[k];
      if (!holds(labels, label)) labels.push_back(label);
      const auto [it, fresh] = size.try_emplace(label, d);
      if (fresh || it->second == d) continue;
      if (label > 0 || (d != 1 && it->second != 1))
        ctx.fail("the operands of '" + equation + "' differ in the size of an axis");
      it->second = std::max(it->second, d);
    }
  }
  const size_t operands = ranks.size(), outer = n.output.size();
  std::vector<std::vector<int64_t>> strides(operands, std::vector<int64_t>(labels.size(), 0));
  for (size_t i = 0; i < operands; ++i) {
    int64_t step = 1;
    for (size_t k = ranks[i]; k-- > 0;) {
      const int64_t d = ctx.input(i).shape()[k];
      if (d != 1 || n.inputs[i][k] > 0) strides[i][find(labels, n.inputs[i][k])] += step;
      step *= d;
    }
  }
  Shape shape, inner;
  for (size_t k = 0; k < labels.size(); ++k) (k < outer ? shape : inner).push_back(size.at(labels[k]));
  Tensor y = ctx.output(0, ctx.input(0).element_type(), shape);
  if (y.size() == 0) return;
  const int64_t terms = element_count(inner);
  with_numeric_type(ctx, y.element_type(), [&](auto zero) {
    using T = decltype(zero);
    using Acc = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
    std::vector<const T*> data;
    for (size_t i = 0; i < operands; ++i) data.push_back(ctx.input(i).data<T>());
    std::vector<int64_t> at(labels.size(), 0), offset(operands, 0);
    const auto advance = [&](size_t first, size_t last) {
      for (size_t k = last; k-- > first;) {
        for (size_t i = 0; i < operands; ++i) offset[i] += strides[i][k];
        if (++at[k] < size.at(labels[k])) return;
        for (size_t i = 0; i < operands; ++i) offset[i] -= strides[i][k] * at[k];
        at[k] = 0;
      }
    };
    for (size_t o = 0; o < y.size(); ++o) {
      Acc sum = 0;
      for (int64_t t = 0; t < terms; ++t) {
        Acc product = static_cast<Acc>(data[0][offset[0]]);
        for (size_t i = 1; i < operands; ++i) product *= static_cast<Acc>(data[i][offset[i]]);
        sum += product;
        advance(outer, labels.size());
      }
      y.data<T>()[o] = static_cast<T>(sum);
      advance(0, outer);
    }
  });
}

Values Einsum::expand(Builder& b, const Values& in) const {
  std::vector<size_t> ranks;
  for (const Value& v : in) {
    if (!v.shape().rank_known()) throw Error(ErrorCode::failed, "[Einsum] needs operands of known rank");
    ranks.push_back(v.shape().rank());
  }
  const Notation n = parse(equation, ranks);
  std::vector<Operand> operands;
  for (size_t i = 0; i < in.size(); ++i) {
    operands.push_back({in[i], n.inputs[i]});
    take_diagonals(b, operands.back());
  }
  // From left to right; a label is needed as long as the output or a later operand has it.
  const auto needed_after = [&](size_t i) {
    return [&, i](int label) {
      if (holds(n.output, label)) return true;
      for (size_t k = i + 1; k < operands.size(); ++k) {
        if (holds(operands[k].labels, label)) return true;
      }
      return false;
    };
  };
  Operand result = operands[0];
  sum_out(b, result, needed_after(0));
  for (size_t i = 1; i < operands.size(); ++i) {
    const auto needed = needed_after(i);
    sum_out(b, operands[i], [&](int label) { return needed(label) || holds(result.labels, label); });
    // Ellipsis axes broadcast, so they cannot be contracted: they are summed once both operands are multiplied.
    result = multiply(b, result, operands[i], [&](int label) { return label < 0 || needed(label); });
    sum_out(b, result, needed);
  }
  transpose_to(b, result, n.output);
  return {result.value};
}

Samples Einsum::samples() {
  const auto r = [](Shape s, uint64_t seed) { return Datum(random_tensor(std::move(s), seed)); };
  const auto t = [](Shape s, std::initializer_list<float> v) { return Datum(Tensor::of<float>(std::move(s), v)); };
  return {sample(Einsum{"ij,jk->ik"}, {t({2, 2}, {1, 2, 3, 4}), t({2, 1}, {5, 6})}, {t({2, 1}, {17, 39})}),
          sample(Einsum{"ii->i"}, {t({2, 2}, {1, 2, 3, 4})}, {t({2}, {1, 4})}),
          sample(Einsum{"ii"}, {t({2, 2}, {1, 2, 3, 4})}, {t({}, {5})}),
          sample(Einsum{"ij->ji"}, {r({2, 3}, 1)}),
          sample(Einsum{"ba,ca"}, {r({2, 3}, 1), r({4, 3}, 2)}),
          sample(Einsum{"bhqd,bhkd->bhqk"}, {r({2, 3, 4, 5}, 1), r({2, 3, 2, 5}, 2)}),
          sample(Einsum{"i,j->ij"}, {r({2}, 1), r({3}, 2)}),
          sample(Einsum{"i,i->"}, {r({3}, 1), r({3}, 2)}),
          sample(Einsum{"...ij, ...jk -> ...ik"}, {r({2, 1, 3, 4}, 1), r({5, 4, 2}, 2)}),
          sample(Einsum{"abc,cd,de->abe"}, {r({2, 3, 2}, 1), r({2, 4}, 2), r({4, 2}, 3)}),
          sample(Einsum{"bij,bkl->ikb"}, {r({2, 3, 2}, 1), r({2, 4, 3}, 2)}),
          sample(Einsum{"abcd,cdef->abef"}, {r({2, 2, 3, 2}, 1), r({3, 2, 2, 2}, 2)}),
          sample(Einsum{"...a->..."}, {r({2, 3, 4}, 1)}),
          sample(Einsum{"...a,...a->a"}, {r({2, 3}, 1), r({3}, 2)})};
}
HONE_DEFINE_OP(Einsum)

}  // namespace hone
