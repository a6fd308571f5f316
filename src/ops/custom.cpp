#include "ops/custom.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "ops/extension.hpp"
#include "ops/family.hpp"

namespace hone {

void Custom::add(const std::string& name, char kind, bool list, const std::vector<std::string>& values) {
  attributes.push_back(name);
  attributes.emplace_back(1, static_cast<char>(list ? kind - 'a' + 'A' : kind));
  attributes.push_back(std::to_string(values.size()));
  attributes.insert(attributes.end(), values.begin(), values.end());
}

std::vector<CustomAttribute> custom_attributes(const Custom& op) {
  std::vector<CustomAttribute> out;
  const auto& flat = op.attributes;
  for (size_t i = 0; i < flat.size();) {
    const size_t left = flat.size() - i;
    const size_t n = left >= 3 ? std::strtoul(flat[i + 2].c_str(), nullptr, 10) : 0;
    if (left < 3 || n > left - 3 || flat[i + 1].size() != 1 || !std::strchr("ifsIFS", flat[i + 1][0]))
      throw Error(ErrorCode::unreadable, "[Custom] malformed attributes");
    CustomAttribute a;
    a.name = flat[i];
    a.list = flat[i + 1][0] < 'a';
    a.kind = static_cast<char>(a.list ? flat[i + 1][0] - 'A' + 'a' : flat[i + 1][0]);
    a.values.assign(flat.begin() + static_cast<std::ptrdiff_t>(i + 3),
                    flat.begin() + static_cast<std::ptrdiff_t>(i + 3 + n));
    out.push_back(std::move(a));
    i += 3 + n;
  }
  return out;
}

namespace {

// One call into the library: everything that the C structures point to.
class Call {
 public:
  explicit Call(const Custom& op) : op_(op), parsed_(custom_attributes(op)) {
    name_ = (op.domain.empty() ? "" : op.domain + "::") + op.type;
    functions_ = find_extension(op.domain, op.type);
    if (!functions_) functions_ = find_extension(op.domain, op.type, true);
    if (!functions_) {
      throw Error(ErrorCode::unsupported,
                  "[Custom] operator '" + name_ + "' is one of an extension library that is not loaded", "",
                  "give the library with --extension LIB.so");
    }
    ints_.resize(parsed_.size());
    floats_.resize(parsed_.size());
    strings_.resize(parsed_.size());
    for (size_t i = 0; i < parsed_.size(); ++i) {
      const CustomAttribute& a = parsed_[i];
      for (const std::string& v : a.values) {
        if (a.kind == 'i')
          ints_[i].push_back(std::strtoll(v.c_str(), nullptr, 10));
        else if (a.kind == 'f')
          floats_[i].push_back(std::strtod(v.c_str(), nullptr));
        else
          strings_[i].push_back(v.c_str());
      }
      attributes_.push_back(
          {a.name.c_str(), a.kind, a.list, a.values.size(), ints_[i].data(), floats_[i].data(), strings_[i].data()});
    }
    outputs_.resize(static_cast<size_t>(std::clamp<int64_t>(op.outputs, 0, 1024)));
    for (hone_ext_tensor& t : outputs_) t.rank = -1;
  }

  void input(const Type* type, const Tensor& value) {
    hone_ext_tensor t{};
    if (type) {
      if (!type->is_tensor()) fail("takes tensors alone");
      t.type = name_of(type->element);
      t.rank = type->shape.rank_known() ? static_cast<int32_t>(type->shape.rank()) : -1;
      if (t.rank > HONE_EXT_MAX_RANK) fail("takes at most " + std::to_string(HONE_EXT_MAX_RANK) + " dimensions");
      for (int32_t i = 0; i < t.rank; ++i) {
        const Dimension d = type->shape[static_cast<size_t>(i)];
        t.shape[i] = d.is_static() ? d.get_length() : -1;
      }
      if (value && value.element_type() != ElementType::string) {
        t.data = const_cast<void*>(value.raw());
        t.bytes = value.byte_size();
      }
    }
    inputs_.push_back(t);
  }

  Types infer() {
    const auto n = static_cast<int32_t>(inputs_.size());
    if (n < functions_->min_inputs || (functions_->max_inputs >= 0 && n > functions_->max_inputs)) {
      fail("takes " + std::to_string(functions_->min_inputs) + " to " +
           (functions_->max_inputs < 0 ? "any number of" : std::to_string(functions_->max_inputs)) + " inputs, given " +
           std::to_string(n));
    }
    call(functions_->infer, "infer");
    Types types;
    for (const hone_ext_tensor& t : outputs_) {
      const auto element = t.type ? element_type_from(t.type) : std::nullopt;
      if (t.type && !element) fail(std::string("infer gives an unknown element type '") + t.type + "'");
      if (t.rank > HONE_EXT_MAX_RANK) fail("infer gives a rank of " + std::to_string(t.rank));
      if (t.rank < -1) fail("infer gives a rank of " + std::to_string(t.rank));
      Type type(element.value_or(ElementType::dynamic), PartialShape::dynamic());
      if (t.rank >= 0) {
        std::vector<Dimension> dims;
        for (int32_t i = 0; i < t.rank; ++i) {
          if (t.shape[i] < -1) fail("infer gives a negative dimension");
          dims.push_back(t.shape[i] < 0 ? Dimension() : Dimension(t.shape[i]));
        }
        type.shape = PartialShape(std::move(dims));
      }
      types.push_back(type);
    }
    return types;
  }

  void evaluate(const std::vector<Tensor>& outputs) {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      outputs_[i].data = const_cast<void*>(outputs[i].raw());
      outputs_[i].bytes = outputs[i].byte_size();
    }
    call(functions_->evaluate, "evaluate");
  }

  [[noreturn]] void fail(const std::string& what) const { throw Error(ErrorCode::failed, "[" + name_ + "] " + what); }

 private:
  void call(hone_ext_function function, const char* which) {
    char message[512] = {};
    hone_ext_call c{inputs_.size(),     outputs_.size(), attributes_.size(), inputs_.data(), outputs_.data(),
                    attributes_.data(), message,         sizeof message};
    int status = 0;
    try {
      status = function(&c);
    } catch (const std::exception& e) {
      fail(std::string(which) + " throws, which an extension must not: " + e.what());
    } catch (...) {
      fail(std::string(which) + " throws, which an extension must not");
    }
    message[sizeof message - 1] = 0;
    if (status != 0)
      fail(std::string(which) + " failed: " + (message[0] ? message : ("status " + std::to_string(status)).c_str()));
  }

  const Custom& op_;
  std::string name_;
  const hone_ext_operator* functions_ = nullptr;
  std::vector<CustomAttribute> parsed_;
  std::vector<std::vector<int64_t>> ints_;
  std::vector<std::vector<double>> floats_;
  std::vector<std::vector<const char*>> strings_;
  std::vector<hone_ext_attribute> attributes_;
  std::vector<hone_ext_tensor> inputs_, outputs_;
};

}  // namespace

Types Custom::infer(InferCtx& c) const {
  Call call(*this);
  for (size_t i = 0; i < c.num_inputs(); ++i)
    call.input(c.has(i) ? &c.input(i) : nullptr, c.has(i) ? c.constant(i) : Tensor());
  return call.infer();
}

void Custom::eval(EvalCtx& c) const {
  Call call(*this);
  for (size_t i = 0; i < c.num_inputs(); ++i) {
    if (!c.has(i)) {
      call.input(nullptr, {});
      continue;
    }
    const Type type = type_of(c.datum(i));
    call.input(&type, type.is_tensor() ? c.input(i) : Tensor());
  }
  std::vector<Tensor> results;
  for (size_t i = 0; const Type& t : call.infer()) {
    if (!t.is_static() || t.element == ElementType::string)
      call.fail("infer leaves the type or shape of output " + std::to_string(i) + " open");
    results.push_back(c.output(i++, t.element, t.shape.to_shape()));
  }
  call.evaluate(results);
}

// It has none of its own: examples/extension has an operator with its test.
Samples Custom::samples() {
  return {};
}

HONE_DEFINE_OP(Custom)

}  // namespace hone
