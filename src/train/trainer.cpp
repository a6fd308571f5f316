#include "train/trainer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "hone/error.hpp"
#include "ops/basic.hpp"
#include "passes/batch.hpp"
#include "train/checkpoint.hpp"
#include "train/evaluate_classifier.hpp"
#include "train/schedule.hpp"

namespace hone {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point t) {
  return std::chrono::duration<double>(Clock::now() - t).count();
}

// Of an accuracy measured on n samples. A few dozen of them call an early epoch the best one by luck; so the weights
// kept are those of the latest epoch within one standard error of the best (Breiman et al. 1984).
double standard_error(double accuracy, size_t n) {
  return std::sqrt(accuracy * (1 - accuracy) / static_cast<double>(n));
}

// The model for a batch of pictures. Throws where it takes another one only.
Graph with_batch(const Graph& model, const data::Preprocessing& preprocessing, int64_t batch) {
  Graph g = model;
  if (g.inputs().size() != 1) throw Error(ErrorCode::unsupported, "[train] a model with one input is expected");
  const Value input = g.inputs()[0];
  const PartialShape shape(preprocessing.batch_shape(batch));
  PartialShape fits = input.shape();
  if (fits.rank_known() && fits.rank() == 4) fits[0] = shape[0];
  if (!shape.compatible(fits)) {
    throw Error(ErrorCode::unsupported,
                "[train] the model takes " + to_string(input.type()) + ", the data give f32" + to_string(shape), "",
                "set --size, or choose a model of the zoo");
  }
  if (input.shape() != shape) reshape_with_batch(g, {{input.id, shape}});
  settle_shapes(g);
  if (logits_of(g).shape()[0] != Dimension(batch))
    throw Error(ErrorCode::unsupported, "[train] the batch of the model is fixed inside");
  return g;
}

// One run: the compiled step, its request and the data that feed it.
class Run {
 public:
  Run(const Graph& model, const data::Dataset& data, const std::vector<uint32_t>& train,
      const std::vector<uint32_t>& val, const data::Preprocessing& preprocessing,
      const data::Augmentation& augmentation, const TrainerOptions& options, const TrainerCallback& callback)
      : model_(model),
        data_(data),
        train_(train),
        val_(val),
        preprocessing_(preprocessing),
        augmentation_(augmentation),
        o_(options),
        callback_(callback) {
    o_.batch = std::min<int64_t>(o_.batch, static_cast<int64_t>(train.size()));
    if (o_.batch < 1) throw Error(ErrorCode::failed, "[train] there are no training samples");
    compile();
    make_loader();
    if (loader_->batches_per_epoch() < 1)
      throw Error(ErrorCode::failed, "[train] " + std::to_string(train.size()) +
                                         " training samples do not fill one batch of " + std::to_string(o_.batch));
  }

  TrainerResult train() {
    const int64_t per_epoch = loader_->batches_per_epoch();
    CosineSchedule schedule;
    schedule.peak = o_.learning_rate;
    schedule.total_steps = per_epoch * o_.epochs;
    schedule.warmup_steps = static_cast<int64_t>(o_.warmup_epochs * static_cast<double>(per_epoch));
    schedule.warmup_steps = std::min(schedule.warmup_steps, schedule.total_steps / 3);
    if (o_.keep_start && !val_.empty()) {
      start_accuracy_ = validation_accuracy(weights());
      c_.best_accuracy = start_accuracy_;
      c_.best_weights = weights();
    }
    resume();
    double timed_images = 0, timed_seconds = 0;
    auto epoch_start = Clock::now();
    while (c_.step < schedule.total_steps) {
      const auto start = Clock::now();
      const double rate = schedule.at(c_.step);
      const double loss = step(rate);
      const double took = seconds_since(start);
      timed_images += static_cast<double>(o_.batch);
      timed_seconds += took;
      epoch_seconds_ += took;
      epoch_images_ += static_cast<double>(o_.batch);
      if (!std::isfinite(loss)) {
        throw Error(ErrorCode::failed, "[train] the loss is not finite any more",
                    "epoch " + std::to_string(c_.step / per_epoch + 1) + ", step " + std::to_string(c_.step),
                    "use a lower --lr or --clip 1");
      }
      ++c_.step;
      c_.loader = loader_->state();
      const bool epoch_ended = c_.step % per_epoch == 0;
      if (epoch_ended) end_epoch(rate, seconds_since(epoch_start));
      TrainerProgress p{(c_.step - 1) / per_epoch + 1, o_.epochs, c_.step, schedule.total_steps, loss,
                        timed_images / timed_seconds,  -1};
      p.eta_seconds = static_cast<double>(schedule.total_steps - c_.step) * timed_seconds /
                      (timed_images / static_cast<double>(o_.batch));
      fit_time_budget(schedule, per_epoch, p.eta_seconds, epoch_ended);
      if (epoch_ended) {
        save();
        epoch_start = Clock::now();
        if (o_.patience > 0 && !val_.empty() && epochs_without_improvement() >= o_.patience) break;
      }
      if (callback_ && !callback_(p)) {
        save();
        result_.stopped = true;
        break;
      }
    }
    result_.model = model_;
    write_back(result_.model, step_.weights, store(c_.best_weights.empty() ? weights() : c_.best_weights));
    result_.epochs = c_.epochs;
    result_.best_accuracy = std::max(0.0, c_.best_accuracy);
    result_.best_epoch = c_.best_epoch;
    result_.images_per_s = timed_seconds > 0 ? timed_images / timed_seconds : 0;
    result_.train_seconds = timed_seconds;
    return std::move(result_);
  }

 private:
  void compile() {
    Graph g = with_batch(model_, preprocessing_, o_.batch);
    const Value logits = logits_of(g);
    if (logits.shape()[1].is_static() &&
        logits.shape()[1].get_length() != static_cast<int64_t>(data_.classes().size())) {
      throw Error(ErrorCode::unsupported, "[train] the model has " + to_string(logits.shape()[1]) +
                                              " outputs, the data have " + std::to_string(data_.classes().size()) +
                                              " classes");
    }
    step_ = train_step(g, o_.step, o_.form, augmentation_.mixup > 0);
    CompileOptions c;
    c.precision = o_.precision;
    c.threads = o_.threads;
    compiled_ = compile_model(step_.graph, c);
    if (!compiled_.request())
      throw Error(ErrorCode::unsupported, "[train] the training step has no static program: " + compiled_.mode());
    for (size_t i = 0; i < compiled_.inputs().size(); ++i) {
      const std::string& name = compiled_.inputs()[i].name;
      if (name == "labels")
        labels_ = i;
      else if (name == "learning_rate")
        rate_ = i;
      else if (name == "step")
        number_ = i;
      else if (name == "ema_decay")
        ema_ = i;
      else
        images_ = i;
    }
    for (size_t i = 0; i < compiled_.outputs().size(); ++i) {
      if (compiled_.outputs()[i].name == "loss") loss_ = i;
      if (compiled_.outputs()[i].name == "logits") logits_ = i;
    }
  }

  void make_loader() {
    data::LoaderOptions l;
    l.batch = o_.batch;
    l.shuffle = true;
    l.drop_last = true;
    l.epochs = -1;
    l.seed = o_.seed;
    loader_ = std::make_unique<data::Loader>(data_, train_, preprocessing_, augmentation_, l);
  }

  void write_scalar(size_t input, double v) {
    compiled_.request()->input(input).data<float>()[0] = static_cast<float>(v);
  }

  double step(double rate) {
    const data::Batch* b = loader_->next();
    auto* request = compiled_.request();
    const auto check = [](const Status& s) {
      if (!s) throw Error(ErrorCode::failed, std::string("[train] ") + s.message);
    };
    check(request->set_input(images_, as_input(b->images, compiled_.inputs()[images_].type.element)));
    const Tensor labels =
        augmentation_.mixup > 0 ? data::soft_targets(*b, static_cast<int64_t>(data_.classes().size()), 0) : b->labels;
    check(request->set_input(labels_, labels));
    write_scalar(rate_, rate);
    if (number_) write_scalar(*number_, static_cast<double>(c_.step + 1));
    // A young average follows fast (as TensorFlow's does), so the first epochs are not dominated by the initial
    // weights.
    if (ema_)
      write_scalar(*ema_, std::min(o_.step.ema_decay,
                                   (1.0 + static_cast<double>(c_.step)) / (10.0 + static_cast<double>(c_.step))));
    check(request->run());
    const double loss = static_cast<double>(request->output(loss_).data<float>()[0]);
    const Tensor logits = request->output(logits_).converted(ElementType::f32);
    const auto classes = static_cast<size_t>(logits.shape()[1]);
    for (size_t i = 0; i < b->samples.size(); ++i) {
      c_.correct += best_class({logits.data<float>() + i * classes, classes}) == b->labels.data<int64_t>()[i];
    }
    c_.seen += b->size();
    c_.loss_sum += loss * static_cast<double>(b->size());
    return loss;
  }

  // The weights to keep and to measure: the moving average where there is one.
  std::map<std::string, Tensor> weights() const {
    std::map<std::string, Tensor> out;
    for (const TrainableWeight& w : step_.weights) {
      Datum d = o_.step.ema_decay > 0 ? compiled_.state(ema_name(w.variable_id)) : Datum();
      if (d.is_none()) d = compiled_.state(w.variable_id);
      if (!d.is_none()) out[w.variable_id] = d.tensor().clone();
    }
    return out;
  }
  static VariableStore store(const std::map<std::string, Tensor>& tensors) {
    VariableStore s;
    for (const auto& [name, t] : tensors) s[name] = t;
    return s;
  }

  void end_epoch(double rate, double seconds) {
    EpochResult e;
    e.epoch = static_cast<int64_t>(c_.epochs.size()) + 1;
    e.loss = c_.loss_sum / static_cast<double>(std::max<int64_t>(1, c_.seen));
    e.train_accuracy = static_cast<double>(c_.correct) / static_cast<double>(std::max<int64_t>(1, c_.seen));
    e.learning_rate = rate;
    e.images_per_s = epoch_seconds_ > 0 ? epoch_images_ / epoch_seconds_ : 0;
    const auto now = weights();
    if (!val_.empty()) e.validation_accuracy = validation_accuracy(now);
    e.seconds = seconds;
    c_.epochs.push_back(e);
    if (val_.empty() || e.validation_accuracy >= best_accuracy() - standard_error(best_accuracy(), val_.size())) {
      c_.best_accuracy = e.validation_accuracy;
      c_.best_epoch = e.epoch;
      c_.best_weights = now;
    }
    c_.loss_sum = 0;
    c_.correct = c_.seen = 0;
    epoch_seconds_ = epoch_images_ = 0;
  }

  double validation_accuracy(const std::map<std::string, Tensor>& of) const {
    Graph m = model_;
    write_back(m, step_.weights, store(of));
    size_t right = 0;
    CompileOptions c;
    c.threads = o_.threads;
    c.precision = o_.precision;
    score_samples(m, data_, val_, preprocessing_, c, 250,
                  [&](uint32_t, int64_t label, std::span<const float> s) { right += best_class(s) == label; });
    return static_cast<double>(right) / static_cast<double>(val_.size());
  }

  double best_accuracy() const {
    double best = start_accuracy_;
    for (const EpochResult& e : c_.epochs) best = std::max(best, e.validation_accuracy);
    return best;
  }
  int64_t epochs_without_improvement() const {
    const auto first = std::max_element(
        c_.epochs.begin(), c_.epochs.end(),
        [](const EpochResult& a, const EpochResult& b) { return a.validation_accuracy < b.validation_accuracy; });
    return c_.epochs.end() - first - 1;
  }

  // Where the rest would take longer than the budget leaves, whole epochs are taken off the end of the schedule.
  void fit_time_budget(CosineSchedule& schedule, int64_t per_epoch, double eta, bool epoch_ended) {
    if (o_.time_budget_seconds <= 0) return;
    const bool measured = c_.step == std::min<int64_t>(20, per_epoch) || epoch_ended;
    const double left = o_.time_budget_seconds - seconds_since(start_);
    if (!measured || eta <= left) return;
    const int64_t remaining = schedule.total_steps - c_.step;
    const auto affordable = static_cast<int64_t>(std::max(0.0, left) / eta * static_cast<double>(remaining));
    const int64_t epochs = std::max<int64_t>((c_.step + affordable) / per_epoch, (c_.step + per_epoch - 1) / per_epoch);
    schedule.total_steps = std::max<int64_t>(1, epochs) * per_epoch;
    schedule.warmup_steps = std::min(schedule.warmup_steps, schedule.total_steps / 3);
    o_.epochs = std::max<int64_t>(1, epochs);
  }

  std::string fingerprint() const {
    std::string s = data_.revision() + " " + std::to_string(train_.size()) + " " + std::to_string(o_.batch) + " " +
                    std::to_string(o_.epochs) + " " + std::to_string(o_.learning_rate) + " " + std::to_string(o_.seed) +
                    " " + name_of(o_.precision) + " " + std::to_string(step_.weights.size());
    for (const TrainableWeight& w : step_.weights) s += " " + w.variable_id;
    return std::to_string(hash_bytes(s.data(), s.size()));
  }

  void save() {
    if (o_.checkpoint.empty()) return;
    c_.states.clear();
    for (const std::string& name : compiled_.state_names()) c_.states[name] = compiled_.state(name).tensor();
    c_.fingerprint = fingerprint_.empty() ? fingerprint_ = fingerprint() : fingerprint_;
    save_checkpoint(o_.checkpoint, c_);
  }
  void resume() {
    fingerprint_ = fingerprint();
    if (o_.resume.empty()) {
      c_.loader = loader_->state();
      return;
    }
    c_ = load_checkpoint(o_.resume, fingerprint_);
    for (const auto& [name, t] : c_.states) compiled_.set_state(name, t);
    loader_->restore(c_.loader);
  }

  const Graph& model_;
  const data::Dataset& data_;
  const std::vector<uint32_t>&train_, &val_;
  const data::Preprocessing& preprocessing_;
  const data::Augmentation& augmentation_;
  TrainerOptions o_;
  const TrainerCallback& callback_;
  TrainStep step_;
  CompiledGraph compiled_;
  std::unique_ptr<data::Loader> loader_;
  size_t images_ = 0, labels_ = 0, rate_ = 0, loss_ = 0, logits_ = 0;
  std::optional<size_t> number_, ema_;
  Checkpoint c_;
  std::string fingerprint_;
  double epoch_seconds_ = 0, epoch_images_ = 0;
  double start_accuracy_ = 0;
  Clock::time_point start_ = Clock::now();
  TrainerResult result_;
};

}  // namespace

int64_t training_batch(const Graph& model, const data::Preprocessing& preprocessing, int64_t wanted) {
  if (model.inputs().size() != 1) throw Error(ErrorCode::unsupported, "[train] a model with one input is expected");
  const PartialShape own = model.inputs()[0].shape();
  if (!own.rank_known() || own.rank() != 4 || own[0].is_dynamic()) return wanted;
  try {
    with_batch(model, preprocessing, wanted);
    return wanted;
  } catch (const Error&) {
    with_batch(model, preprocessing, own[0].min());
    return own[0].min();
  }
}

TrainerResult train_classifier(const Graph& model, const data::Dataset& data, const std::vector<uint32_t>& train,
                               const std::vector<uint32_t>& val, const data::Preprocessing& preprocessing,
                               const data::Augmentation& augmentation, const TrainerOptions& options,
                               const TrainerCallback& callback) {
  return Run(model, data, train, val, preprocessing, augmentation, options, callback).train();
}

}  // namespace hone
