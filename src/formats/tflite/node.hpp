// What a row of the mapping table sees: one operator of the file, its inputs as Hone values, and a builder.
//
// A tensor of a quantized model has two faces: `stored` are the integers of the file, `real` the numbers they stand
// for. Rows compute on real numbers; the reader puts Quantize and Dequantize around them as the scales of the file say,
// which is what the passes turn into integer kernels. Rows see the shapes of the file (NHWC); those of spatial
// operators transpose to NCHW and back.
#pragma once
#include <map>
#include <optional>

#include "formats/emitter.hpp"
#include "formats/tflite/schema.hpp"
#include "graph/builder.hpp"
#include "ops/registry.hpp"

namespace hone::tflite {

/// A tensor of the file in the graph: at least one face is there; resources are known by name alone.
struct TensorValue {
  Value stored, real;
  Value steps = {};  ///< real numbers in units of the scale: integer less zero point
  std::string resource;
  explicit operator bool() const { return stored || real || steps || !resource.empty(); }
};
using TensorValues = std::vector<TensorValue>;

/// A region made from subgraphs: its own inputs, then the resource variables that it touches.
struct RegionParts {
  std::shared_ptr<Graph> graph;
  std::vector<std::string> variables;  ///< trailing inputs and outputs, in this order
};

class NodeContext;

/// What a NodeContext asks of the importer.
class Importer {
 public:
  virtual ~Importer() = default;
  virtual const Model& model() const = 0;
  /// Puts the nodes of a subgraph here, with its inputs replaced; its outputs.
  virtual TensorValues inlined(size_t subgraph, const TensorValues& inputs) = 0;
  /// Names of the resource variables that subgraphs touch.
  virtual std::vector<std::string> variables_of(const std::vector<size_t>& subgraphs, const TensorValues& inputs) = 0;
  /// A region whose parameters are `leading`, one for each of `inputs` that is no resource, and one for each variable.
  /// Its results: what `body` gives, then the variables.
  using Body = std::function<Values(Importer& inner, Builder& b, const Values& leading, const TensorValues& inputs)>;
  virtual std::shared_ptr<Graph> region(const Types& leading, const TensorValues& inputs, const Types& types,
                                        const std::vector<std::string>& variables, const Types& variable_types,
                                        const Body& body) = 0;
  /// Content of a resource variable here; `of` says its type where nothing was assigned yet.
  virtual Value variable(const std::string& name, const TensorInfo* of) = 0;
  virtual void assign(const std::string& name, Value v) = 0;
  /// Runs the initialization subgraph: variables and tables get their first content.
  virtual void initialize(size_t subgraph) = 0;
  struct Table {
    Tensor keys, values;
  };
  virtual std::map<std::string, Table>& tables() = 0;
  /// Has the model asymmetric u8 weights? Its tensors are rounded to whole steps in f32, which is exact wherever the
  /// graph goes.
  virtual bool counts_steps() const = 0;
  virtual std::string fresh_state(const std::string& purpose) = 0;
};

class NodeContext : public Emitter {
 public:
  NodeContext(Importer& importer, Builder& builder, const SubgraphInfo& graph, const OperatorInfo& op,
              TensorValues inputs, bool in_region)
      : Emitter(builder),
        in_region(in_region),
        importer_(importer),
        graph_(graph),
        op_(op),
        inputs_(std::move(inputs)),
        given_(op.outputs.size()) {}

  const bool in_region;

  Importer& importer() { return importer_; }
  const OperatorInfo& op() const { return op_; }
  int32_t version() const { return op_.version; }
  size_t num_inputs() const { return inputs_.size(); }
  size_t num_outputs() const { return op_.outputs.size(); }
  bool has(size_t i) const { return i < inputs_.size() && inputs_[i]; }
  /// Input `i` as real numbers; throws `Error` where it is absent. Integers that stand for themselves stay as they are.
  Value in(size_t i);
  Value opt(size_t i) { return has(i) ? in(i) : Value{}; }
  /// Input `i` as it is stored.
  Value stored(size_t i);
  /// Whichever face is there: for shapes.
  Value any(size_t i) {
    const TensorValue& v = value(i);
    return v.stored ? v.stored : v.real ? v.real : v.steps ? v.steps : stored(i);
  }
  Values all_in();
  const TensorValue& value(size_t i) const;
  const TensorValues& values() const { return inputs_; }
  const TensorInfo& info(size_t i) const;
  const TensorInfo& info_out(size_t i) const;
  const TensorInfo& intermediate(size_t i) const;
  bool has_intermediate(size_t i) const { return i < op_.intermediates.size() && op_.intermediates[i] >= 0; }
  const Scales& scales(size_t i) const { return info(i).scales; }
  const Scales& scales_out(size_t i) const { return info_out(i).scales; }

  /// Integers `stored` as real numbers.
  Value dequantized(Value stored, const Scales& s, int64_t axis);
  Value quantized(Value real, const TensorInfo& as);
  /// The real numbers that remain of `real` where it is stored as `as`.
  Value rounded(Value real, const TensorInfo& as) {
    return as.scales ? dequantized(quantized(real, as), as.scales, as.scales.axis) : real;
  }
  /// Input `i` in units of its scale (one for the tensor): integers that f32 holds exactly.
  Value steps(size_t i);
  /// A result in units of the scale of `as`, rounded to what its integers can say.
  TensorValue whole_steps(Value v, const TensorInfo& as);
  /// Real numbers as tensor `as` keeps them.
  TensorValue kept(Value real, const TensorInfo& as);
  /// The integers of a tensor, made where they are not there yet.
  Value stored(TensorValue& v, const TensorInfo& as);
  /// A weight with its axes in another order; the axes are permuted before the integers become real numbers.
  /// `in_steps`: numbers in units of its scales.
  Value weights(size_t i, const std::vector<int64_t>& order, int64_t usual_axis, bool in_steps = false);
  /// Axis along which the scales of a weight lie: that of the file, or `usual` where it does not fit.
  int64_t scale_axis(const TensorInfo& t, int64_t usual) const;
  /// A bias that is added to sums of products: integers count in steps of (scale of the data) * (scale of the weight).
  Value bias(size_t i, size_t data, size_t weight);

  /// Gives output `i` as it is stored, instead of returning real numbers.
  void give_stored(size_t i, Value v) { given_.at(i).stored = v; }
  /// Both faces of an output (what leaves a region or an inlined graph).
  void give(size_t i, TensorValue v) { given_.at(i) = std::move(v); }
  const TensorValues& given() const { return given_; }
  /// State that an operator keeps in a variable tensor: input `i` takes this content after the run.
  void keep(size_t i, Value v);

  // Options, by field number of the operator's option table.
  int32_t i(unsigned field, int32_t otherwise = 0) const { return op_.options.get<int32_t>(field, otherwise); }
  int8_t code(unsigned field) const { return op_.options.get<int8_t>(field); }
  bool flag(unsigned field, bool otherwise = false) const { return op_.options.get<bool>(field, otherwise); }
  float f(unsigned field) const { return op_.options.get<float>(field); }
  std::vector<int64_t> longs(unsigned field) const { return op_.options2.numbers<int64_t>(field); }

  /// The numbers of input `i` where they are known at import; an empty tensor otherwise.
  Tensor constant(size_t i);
  /// Constant integers; refuses others.
  std::vector<int64_t> ints(size_t i, const char* what);
  size_t rank(Value v) const;
  /// Whether the operator works on complex numbers, which are pairs along a last axis that the file does not count.
  bool has_pairs() const;
  /// Rank of a value as the file counts it.
  int64_t file_rank(Value v) const;
  /// An axis of the file, negative ones from the end.
  int64_t axis(int64_t axis, Value v) const;
  /// Input `i` as an i64 vector.
  Value index_vector(size_t i);

  // Building, beside Emitter's short forms.
  Node add(const char* op, Attributes attributes, const Values& in, std::vector<Region> regions) override;
  Value reshape(Value v, std::vector<int64_t> shape, bool zero_copies = false);
  Value transpose(Value v, std::vector<int64_t> order);
  /// [N, spatial..., C] to [N, C, spatial...] and back.
  Value channels_first(Value v);
  Value channels_last(Value v);
  Value concat(const Values& v, int64_t axis);
  /// The fused activation of the option `code`.
  Value activated(Value v, int8_t code);

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void refuse(const std::string& what) const;  ///< well-formed, but not offered

 private:
  Importer& importer_;
  const SubgraphInfo& graph_;
  const OperatorInfo& op_;
  TensorValues inputs_;
  TensorValues given_;
};

}  // namespace hone::tflite
