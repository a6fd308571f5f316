#include "train/checkpoint.hpp"

#include <nlohmann/json.hpp>

#include "hone/error.hpp"
#include "tensor/safetensors.hpp"

namespace hone {
namespace {

using nlohmann::json;

json to_json(const EpochResult& e) {
  return {{"epoch", e.epoch},
          {"loss", e.loss},
          {"train_accuracy", e.train_accuracy},
          {"validation_accuracy", e.validation_accuracy},
          {"learning_rate", e.learning_rate},
          {"images_per_s", e.images_per_s},
          {"seconds", e.seconds}};
}

EpochResult from_json(const json& j) {
  EpochResult e;
  e.epoch = j.at("epoch");
  e.loss = j.at("loss");
  e.train_accuracy = j.at("train_accuracy");
  e.validation_accuracy = j.at("validation_accuracy");
  e.learning_rate = j.at("learning_rate");
  e.images_per_s = j.at("images_per_s");
  e.seconds = j.at("seconds");
  return e;
}

constexpr std::string_view state_prefix = "state/", best_prefix = "best/";

}  // namespace

void save_checkpoint(const std::string& path, const Checkpoint& c) {
  NamedTensors file;
  for (const auto& [name, t] : c.states) file.tensors[std::string(state_prefix) + name] = t;
  for (const auto& [name, t] : c.best_weights) file.tensors[std::string(best_prefix) + name] = t;
  json run{{"step", c.step},
           {"epoch", c.loader.epoch},
           {"position", c.loader.position},
           {"seed", c.loader.seed},
           {"best_accuracy", c.best_accuracy},
           {"best_epoch", c.best_epoch},
           {"loss_sum", c.loss_sum},
           {"correct", c.correct},
           {"seen", c.seen},
           {"epochs", json::array()}};
  for (const EpochResult& e : c.epochs) run["epochs"].push_back(to_json(e));
  file.metadata = {{"hone_checkpoint", "1"}, {"fingerprint", c.fingerprint}, {"run", run.dump()}};
  save_safetensors(path, file);
}

Checkpoint load_checkpoint(const std::string& path, const std::string& fingerprint) {
  const NamedTensors file = load_safetensors(path);
  const auto kind = file.metadata.find("hone_checkpoint");
  if (kind == file.metadata.end())
    throw Error(ErrorCode::unreadable, "[train] not a checkpoint of a training run", path);
  Checkpoint c;
  try {
    c.fingerprint = file.metadata.at("fingerprint");
    const json run = json::parse(file.metadata.at("run"));
    c.step = run.at("step");
    c.loader.epoch = run.at("epoch");
    c.loader.position = run.at("position");
    c.loader.seed = run.at("seed");
    c.best_accuracy = run.at("best_accuracy");
    c.best_epoch = run.at("best_epoch");
    c.loss_sum = run.at("loss_sum");
    c.correct = run.at("correct");
    c.seen = run.at("seen");
    for (const json& e : run.at("epochs")) c.epochs.push_back(from_json(e));
  } catch (const std::exception& e) {
    throw Error(ErrorCode::unreadable, std::string("[train] damaged checkpoint (") + e.what() + ")", path);
  }
  if (c.fingerprint != fingerprint) {
    throw Error(ErrorCode::usage, "[train] the checkpoint belongs to another run: model, data or options differ", path,
                "resume with the options of the first call, or start afresh");
  }
  for (const auto& [name, t] : file.tensors) {
    if (name.starts_with(state_prefix)) c.states[name.substr(state_prefix.size())] = t.clone();
    if (name.starts_with(best_prefix)) c.best_weights[name.substr(best_prefix.size())] = t.clone();
  }
  return c;
}

}  // namespace hone
