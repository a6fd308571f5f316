#include "compress/observe.hpp"

#include <algorithm>
#include <limits>

#include "graph/builder.hpp"
#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "ops/evaluate.hpp"
#include "ops/reduce.hpp"

namespace hone {
namespace {

class ReferenceRunner : public Runner {
 public:
  explicit ReferenceRunner(const Graph& g) : graph_(g) {}
  std::vector<Datum> run(const std::vector<Datum>& inputs) override { return evaluate(graph_, inputs); }

 private:
  Graph graph_;
};

Value as_f32(Builder& b, Value v) {
  return v.element_type() == ElementType::f32 ? v : b(Convert{ElementType::f32}, v);
}

}  // namespace

MakeRunner reference_runner() {
  return [](const Graph& g) { return std::make_unique<ReferenceRunner>(g); };
}

std::vector<RangeStatistics> observe_ranges(const Graph& g, const std::vector<ValueId>& values,
                                            const CalibrationData& data, size_t samples, const MakeRunner& make_runner,
                                            const Progress& progress) {
  Graph observed = g;
  Builder b(observed);
  for (NodeId r : std::vector<NodeId>(observed.results())) observed.remove(r);
  for (ValueId v : values) {
    const Value x = as_f32(b, observed.value_handle(v));
    const size_t rank = x.shape().rank();
    std::vector<int64_t> axes;
    for (size_t i = rank > 1 ? 1 : 0; i < rank; ++i) axes.push_back(static_cast<int64_t>(i));
    const Value over = b.ints(axes);
    b.result(b(ReduceMin{}, x, over));
    b.result(b(ReduceMax{}, x, over));
  }
  observed.remove_dead();
  const auto runner = make_runner(observed);
  std::vector<RangeStatistics> out(values.size());
  for (RangeStatistics& s : out) {
    s.min = std::numeric_limits<double>::infinity();
    s.max = -s.min;
  }
  size_t done = 0;
  for (size_t i = 0; done < samples; ++i) {
    const auto inputs = data(i);
    if (!inputs) break;
    const auto results = runner->run(*inputs);
    size_t batch = 1;
    for (size_t k = 0; k < values.size(); ++k) {
      const Tensor low = results[2 * k].tensor(), high = results[2 * k + 1].tensor();
      batch = std::max(batch, low.size());
      for (size_t e = 0; e < low.size(); ++e) {
        out[k].mean_min += get_element(low, e);
        out[k].mean_max += get_element(high, e);
        out[k].min = std::min(out[k].min, get_element(low, e));
        out[k].max = std::max(out[k].max, get_element(high, e));
        ++out[k].samples;
      }
    }
    done += batch;
    if (progress && !progress(std::min(done, samples), samples)) break;
  }
  if (done == 0)
    throw Error(ErrorCode::failed, "[quantize] there are no calibration samples", "", "give a data set with --data");
  for (RangeStatistics& s : out) {
    s.mean_min /= static_cast<double>(s.samples);
    s.mean_max /= static_cast<double>(s.samples);
  }
  return out;
}

size_t add_channel_means(Graph& g, const std::vector<ValueId>& values) {
  const size_t before = g.results().size();
  Builder b(g);
  for (ValueId v : values) {
    const Value x = as_f32(b, g.value_handle(v));
    std::vector<int64_t> axes;
    for (size_t i = 0; i < x.shape().rank(); ++i) {
      if (i != 1) axes.push_back(static_cast<int64_t>(i));
    }
    b.result(b(ReduceMean{}, x, b.ints(axes)));
  }
  return before;
}

}  // namespace hone
