// The job `train`: data, split, recipe, trainer, model file.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "api/files.hpp"
#include "api/job_support.hpp"
#include "api/train_job.hpp"
#include "base/file.hpp"
#include "base/log.hpp"
#include "grad/training_form.hpp"
#include "hone/error.hpp"
#include "tasks/linear_probe.hpp"
#include "tasks/temper_head.hpp"
#include "train/evaluate_classifier.hpp"
#include "train/trainer.hpp"
#include "zoo/zoo.hpp"

namespace hone {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// What makes a run the one that it is; how many threads compute it and for how long does not.
template <class F>
void each_option(F&& f) {
  f("model", &TrainOptions::model);
  f("epochs", &TrainOptions::epochs);
  f("batch", &TrainOptions::batch);
  f("learning_rate", &TrainOptions::learning_rate);
  f("optimizer", &TrainOptions::optimizer);
  f("weight_decay", &TrainOptions::weight_decay);
  f("label_smoothing", &TrainOptions::label_smoothing);
  f("ema_decay", &TrainOptions::ema_decay);
  f("clip_norm", &TrainOptions::clip_norm);
  f("unit_clip", &TrainOptions::unit_clip);
  f("warmup_epochs", &TrainOptions::warmup_epochs);
  f("precision", &TrainOptions::precision);
  f("seed", &TrainOptions::seed);
  f("input_size", &TrainOptions::input_size);
  f("augment", &TrainOptions::augment);
  f("augmentation", &TrainOptions::augmentation);
  f("patience", &TrainOptions::patience);
  f("split_group", &TrainOptions::split_group);
  f("split_time", &TrainOptions::split_time);
  f("freeze", &TrainOptions::freeze);
  f("freeze_backbone", &TrainOptions::freeze_backbone);
  f("new_head", &TrainOptions::new_head);
  f("features", &TrainOptions::features);
  f("network", &TrainOptions::network);
}
template <class F>
void each_picture_option(F&& f) {
  f("mean", &PictureOptions::mean);
  f("scale", &PictureOptions::scale);
  f("layout", &PictureOptions::layout);
  f("reverse_channels", &PictureOptions::reverse_channels);
}
constexpr const char* options_file = "options.json";

std::string options_text(const TrainOptions& o) {
  json j = json::object();
  each_option([&](const char* name, auto member) { j[name] = o.*member; });
  each_picture_option([&](const char* name, auto member) { j[name] = o.picture.*member; });
  return j.dump(1) + "\n";
}
// A run that goes on takes the options of its first call where it is not told others.
TrainOptions with_options_of_run(TrainOptions o) {
  const fs::path path = fs::path(o.resume) / options_file;
  if (o.resume.empty() || !fs::exists(path)) return o;
  try {
    const json j = json::parse(read_text_file(path.string()));
    const TrainOptions plain;
    each_option([&](const char* name, auto member) {
      if (o.*member == plain.*member) j.at(name).get_to(o.*member);
    });
    each_picture_option([&](const char* name, auto member) {
      if (o.picture.*member == plain.picture.*member) j.at(name).get_to(o.picture.*member);
    });
  } catch (const json::exception&) {
    throw Error(ErrorCode::unreadable, "[train] the options of the run are damaged", path.string(),
                "delete the file and give the options of the first call");
  }
  return o;
}

data::Split split_of(const data::Dataset& data, const TrainOptions& o) {
  if (!o.resume.empty() && fs::exists(fs::path(o.resume) / "split.json"))
    return data::load_split((fs::path(o.resume) / "split.json").string(), data);
  data::SplitOptions s;
  s.seed = o.seed;
  if (!o.split_group.empty()) {
    s.kind = data::SplitKind::group;
    s.group = o.split_group;
  } else if (!o.split_time.empty()) {
    s.kind = data::SplitKind::time;
    s.time = o.split_time;
  } else if (data.has_parts() && data.indices(data::Part::val).empty() && !data.indices(data::Part::test).empty()) {
    // Train and test files: validation comes out of train, 1 in 12 of it, at most 5,000.
    const size_t n = data.indices(data::Part::train).size();
    return data::split_off_validation(data, std::clamp<size_t>(n / 12, 1, 5000), o.seed);
  }
  return data::make_split(data, s);
}

Graph network_for(const NetworkInfo& info, const TrainOptions& o, const Recipe& r, const data::Dataset& data) {
  if (!info.classifier)
    throw Error(ErrorCode::usage, "[train] the network is no classifier", "'" + r.network + "'",
                "choose another --model");
  NetworkOptions n;
  n.classes = static_cast<int64_t>(data.classes().size());
  n.channels = r.preprocessing.channels();
  n.height = r.preprocessing.height;
  n.width = r.preprocessing.width;
  n.seed = o.seed;
  return build_network(r.network, n);
}

// The model to fine-tune; nothing where a network of the zoo is to begin with random weights.
std::optional<Graph> file_for(const TrainOptions& o) {
  if (o.model == "auto" || find_network(o.model)) {
    for (const auto& [given, name] : {std::pair{o.new_head, "--new-head"},
                                      {!o.features.empty(), "--features"},
                                      {!o.network.empty(), "--network"}}) {
      if (given)
        throw Error(ErrorCode::usage, std::string("[train] ") + name + " is for a model file to fine-tune", "",
                    "name one with --model");
    }
    return std::nullopt;
  }
  if (fs::exists(o.model)) return read_model_of_case(o.model, o.network);
  std::string names;
  for (const NetworkInfo& n : networks()) {
    if (n.classifier) names += (names.empty() ? "" : ", ") + std::string(n.name);
  }
  throw Error(ErrorCode::usage, "[train] no network and no file '" + o.model + "'", "",
              "name a model file or one of " + names);
}

// What a file to fine-tune says of its input, and the call. Mean and scale that neither says are measured.
void take_input_of(const Graph& g, const PictureOptions& o, RecipeRequest& request) {
  const auto info = load_info(g);
  const PartialShape shape = g.inputs().size() == 1 ? g.inputs()[0].shape() : PartialShape();
  const auto own = picture_preprocessing(shape, o.layout);
  if (!info && !own) return;
  request.input = info ? info->preprocessing : *own;
  request.measure = !info && o.mean.empty() && o.scale.empty();
  data::Preprocessing& p = *request.input;
  take_picture_options(p, o, "train");
  if (p.resize == data::ResizeRule::exact) p.resize = data::ResizeRule::stretch;
  if (own && own->width > 0 && (p.width != own->width || p.height != own->height)) {
    p.resize = data::ResizeRule::stretch;
    p.width = own->width;
    p.height = own->height;
  }
}

// Gives a file the classes of the data: its own layer where it has as many, else a new one, which `note` tells.
ClassifierHead fit_head(Graph& g, const TrainOptions& o, const data::Preprocessing* input, int64_t classes,
                        std::string& note) {
  const auto names = [&](const ClassifierHead& h) { return h.op + " '" + h.name + "'"; };
  const std::string sizes = std::to_string(classes) + " classes";
  if (!o.features.empty()) {
    const bool channels_last = input && input->layout == data::PixelLayout::nhwc;
    ClassifierHead head = add_head(g, o.features, classes, o.seed, channels_last);
    note =
        "behind '" + o.features + "' stands a new layer of " + std::to_string(head.features) + " features and " + sizes;
    return head;
  }
  const Value out = g.results().empty() ? Value() : g.outputs()[0];
  const bool fits = out && out.type().is_tensor() && out.shape().rank_known() && out.shape().rank() == 2 &&
                    out.shape()[1].compatible(Dimension(classes));
  if (fits && !o.new_head) return o.freeze_backbone ? find_head(g) : ClassifierHead{};
  const int64_t before = find_head(g).classes;
  ClassifierHead head = replace_head(g, classes, o.seed);
  note = names(head) + " of " + std::to_string(head.features) + " features and " + std::to_string(before) +
         " classes is replaced by a new one for " + sizes;
  return head;
}

// Does a file with as many classes as the data know any of them? Guessing is right in one case of as many as there are
// classes; three standard deviations above that are no luck.
bool knows_classes(const Graph& g, const data::Dataset& data, const std::vector<uint32_t>& train,
                   const data::Preprocessing& preprocessing, const CompileOptions& c) {
  std::vector<uint32_t> chosen;
  const size_t count = std::min<size_t>(train.size(), 300);
  for (size_t i = 0; i < count; ++i) chosen.push_back(train[i * train.size() / count]);
  size_t right = 0;
  score_samples(g, data, chosen, preprocessing, c, 50,
                [&](uint32_t, int64_t label, std::span<const float> s) { right += best_class(s) == label; });
  const double n = static_cast<double>(count), chance = 1 / static_cast<double>(data.classes().size());
  return static_cast<double>(right) > n * chance + 3 * std::sqrt(n * chance * (1 - chance));
}

// Where fine-tuning begins: a new head that reads the features as they are, or the file's own with scores in reach of
// the loss. What was done is told in `note`.
void settle_head(Graph& start, ClassifierHead& head, const data::Dataset& data, TrainedModel& t, const TrainOptions& o,
                 std::string& note) {
  CompileOptions c;
  c.threads = o.threads;
  const data::Preprocessing& p = t.recipe.preprocessing;
  if (t.new_head.empty()) {
    ClassifierHead own;
    try {
      own = find_head(start);
    } catch (const Error&) {
      return;  // its scores come as they come
    }
    if (!knows_classes(start, data, t.split.train, p, c)) {
      head = replace_head(start, static_cast<int64_t>(data.classes().size()), o.seed);
      t.new_head = head.name;
      note = head.op + " '" + head.name + "' knows none of the " + std::to_string(head.classes) +
             " classes, so it is replaced by a new one";
    } else if (const double temperature = temper_head(start, own, data, t.split.train, p, c); temperature > 1) {
      char text[32];
      std::snprintf(text, sizeof text, "%.0f", temperature);
      note =
          "the scores of " + own.op + " '" + own.name + "' are divided by " + text + " to be within reach of the loss";
    }
  }
  if (t.new_head.empty()) return;
  LinearProbeOptions probe;
  probe.label_smoothing = o.label_smoothing;
  const auto progress = [&](size_t done, size_t of) {
    return !o.progress || o.progress({"probe", static_cast<double>(done), static_cast<double>(of), "pictures", "", -1});
  };
  if (probe_head(start, head, data, t.split.train, p, c, probe, progress))
    note += ", fitted to the features as they are";
}

// Names of the weights that are made of these constants, as training calls them.
std::vector<std::string> weight_names(const Graph& g, const std::vector<NodeId>& constants) {
  std::vector<std::string> names;
  for (const TrainableWeight& w : to_training_form(g).weights) {
    if (std::find(constants.begin(), constants.end(), w.constant) != constants.end()) names.push_back(w.variable_id);
  }
  return names;
}

std::string seconds_text(double v) {
  char text[48];
  std::snprintf(text, sizeof text, "%.0f images/s", v);
  return text;
}

}  // namespace

TrainedModel run_training(const TrainOptions& given, const data::Dataset& data) {
  const TrainOptions o = with_options_of_run(given);
  if (!o.force && o.resume.empty() && fs::exists(fs::path(o.out) / "model.hone")) {
    throw Error(ErrorCode::failed, "[train] the result exists already", (fs::path(o.out) / "model.hone").string(),
                "choose another --out or add --force");
  }
  if (!o.resume.empty() && !fs::exists(fs::path(o.resume) / "checkpoint.safetensors")) {
    throw Error(ErrorCode::unreadable, "[train] there is no checkpoint to go on from",
                (fs::path(o.resume) / "checkpoint.safetensors").string(), "start afresh without --resume");
  }
  make_folder(o.out);
  const auto in_out = [&](const char* name) { return (fs::path(o.out) / name).string(); };
  TrainedModel t;
  t.split = split_of(data, o);
  if (t.split.train.empty()) throw Error(ErrorCode::failed, "[train] there are no training samples", o.data);
  RecipeRequest request{o.model == "auto" ? "" : o.model, o.input_size, o.batch, o.epochs,
                        o.augment ? o.augmentation : "none"};
  std::optional<Graph> file = file_for(o);
  if (file) take_input_of(*file, o.picture, request);
  ClassifierHead head;
  std::string head_note;
  if (file) {
    try {
      head = fit_head(*file, o, request.input ? &*request.input : nullptr, static_cast<int64_t>(data.classes().size()),
                      head_note);
    } catch (const Error& e) {
      throw e.where().empty() ? e.at(o.model) : e;
    }
    if (!head_note.empty()) t.new_head = head.name;
  }
  t.recipe = choose_recipe(data, t.split, request);
  if (!file) {
    if (!o.picture.mean.empty() || !o.picture.scale.empty())
      t.recipe.preprocessing.mean = t.recipe.preprocessing.scale = {};  // the one that is not given does nothing
    take_picture_options(t.recipe.preprocessing, o.picture, "train");
  }
  Graph start = file ? std::move(*file) : network_for(*find_network(t.recipe.network), o, t.recipe, data);
  t.recipe.batch = training_batch(start, t.recipe.preprocessing, t.recipe.batch);
  if (o.batch > 0 && t.recipe.batch != std::min<int64_t>(o.batch, static_cast<int64_t>(t.split.train.size())))
    throw Error(ErrorCode::unsupported,
                "[train] the model takes batches of " + std::to_string(t.recipe.batch) + " only, not --batch " +
                    std::to_string(o.batch),
                o.model, "leave --batch out");
  data::save_split(in_out("split.json"), t.split, data);
  if (o.resume.empty()) write_file(in_out(options_file), options_text(o));

  const bool trained = !find_network(t.recipe.network);
  separate_norms(start);
  if (trained) {
    try {
      settle_head(start, head, data, t, o, head_note);
    } catch (const Error& e) {
      throw e.where().empty() ? e.at(o.model) : e;
    }
  }
  TrainerOptions p;
  p.step.optimizer = o.optimizer == "adamw" ? OptimizerKind::adamw : OptimizerKind::sgd;
  p.step.weight_decay = o.weight_decay;
  p.step.label_smoothing = o.label_smoothing;
  p.step.ema_decay = o.ema_decay;
  p.step.clip_norm = o.clip_norm >= 0 ? o.clip_norm : default_clip_norm(trained);
  p.step.unit_clip = o.unit_clip >= 0 ? o.unit_clip : default_unit_clip(trained);
  if (o.freeze_backbone && head.constants.empty()) head = find_head(start);
  const std::vector<std::string> head_weights =
      o.freeze_backbone ? weight_names(start, head.constants) : std::vector<std::string>();
  if (o.freeze_backbone) {
    p.form.frozen = [head_weights](const std::string& name) {
      return std::find(head_weights.begin(), head_weights.end(), name) == head_weights.end();
    };
  } else if (!o.freeze.empty()) {
    p.form.frozen = [prefixes = o.freeze](const std::string& name) {
      return std::any_of(prefixes.begin(), prefixes.end(), [&](const std::string& f) { return name.starts_with(f); });
    };
    std::vector<std::string> names;
    TrainingFormOptions all;
    all.frozen = [&](const std::string& name) {
      names.push_back(name);
      return true;
    };
    to_training_form(start, all);
    for (const std::string& f : o.freeze) {
      if (std::none_of(names.begin(), names.end(), [&](const std::string& n) { return n.starts_with(f); }))
        throw Error(ErrorCode::usage, "[train] --freeze '" + f + "' begins the name of no weight", "",
                    names.empty() ? "" : "weights are called " + names.front() + " ... " + names.back());
    }
  }
  p.batch = t.recipe.batch;
  p.epochs = t.recipe.epochs;
  p.learning_rate = o.learning_rate > 0 ? o.learning_rate : default_learning_rate(p.step.optimizer, p.batch, trained);
  p.keep_start = trained;
  p.warmup_epochs = o.warmup_epochs;
  p.precision = training_precision(o.precision);
  p.threads = o.threads;
  p.seed = o.seed;
  p.patience = o.patience;
  p.time_budget_seconds = o.time_budget_seconds;
  p.checkpoint = in_out("checkpoint.safetensors");
  if (!o.resume.empty()) p.resume = (fs::path(o.resume) / "checkpoint.safetensors").string();
  const auto callback = [&](const TrainerProgress& s) {
    if (!o.progress) return true;
    char loss[32];
    std::snprintf(loss, sizeof loss, "loss %.3f, ", s.loss);
    return o.progress({"train", static_cast<double>(s.step), static_cast<double>(s.steps), "steps",
                       "epoch " + std::to_string(s.epoch) + "/" + std::to_string(s.epochs) + ", " + loss +
                           seconds_text(s.images_per_s),
                       s.eta_seconds});
  };
  if (o.progress && !head_note.empty()) o.progress({"train", 0, 0, "", head_note});
  t.result = train_classifier(start, data, t.split.train, t.split.val, t.recipe.preprocessing, t.recipe.augmentation, p,
                              callback);
  t.precision = p.precision;
  if (trained && !t.result.stopped && !t.result.epochs.empty() && !t.split.val.empty() && t.result.best_epoch == 0)
    log(LogLevel::warning, "[train] no epoch is better than the weights of " + o.model +
                               (t.new_head.empty() ? "" : " with the new '" + t.new_head + "'") +
                               ", which are kept: try a lower --lr than " + std::to_string(p.learning_rate));

  std::string log;
  for (const EpochResult& e : t.result.epochs) {
    log += json{{"epoch", e.epoch},
                {"loss", e.loss},
                {"train_accuracy", e.train_accuracy},
                {"validation_accuracy", e.validation_accuracy},
                {"learning_rate", e.learning_rate},
                {"images_per_s", e.images_per_s},
                {"seconds", e.seconds}}
               .dump() +
           "\n";
  }
  write_file(in_out("log.jsonl"), log);
  if (t.result.stopped)
    throw Error(ErrorCode::interrupted, "[train] stopped; everything is saved", o.out,
                "go on with: hone train " + o.data + " --resume " + o.out);
  t.info.labels = data.classes();
  t.info.preprocessing = t.recipe.preprocessing;
  t.info.data = fs::absolute(o.data).string();
  t.info.data_revision = data.revision();
  t.info.split = data::split_to_json(t.split, data);
  t.graph = t.result.model;
  store_info(t.graph, t.info);
  t.file = in_out("model.hone");
  save_any_model(t.graph, t.file);
  return t;
}

TrainResult train(const TrainOptions& o) {
  const auto data = data::open_dataset(o.data);
  const TrainedModel t = run_training(o, *data);
  TrainResult r;
  r.model = t.file;
  r.new_head = t.new_head;
  r.metric = t.result.best_accuracy;
  r.epochs = static_cast<int>(t.result.epochs.size());
  r.images_per_s = t.result.images_per_s;
  r.seconds = t.result.train_seconds;
  for (const EpochResult& e : t.result.epochs) {
    r.log.push_back({static_cast<int>(e.epoch), e.loss, e.train_accuracy, e.validation_accuracy, e.learning_rate,
                     e.images_per_s, e.seconds});
  }
  return r;
}

}  // namespace hone
