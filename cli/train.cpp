#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "options.hpp"
#include "picture_options.hpp"
#include "train_options.hpp"
#include "verb.hpp"

namespace hone::cli {

void add_train_options(CLI::App& app, TrainOptions& o) {
  app.add_option("DATA", o.data, "Folder of labelled pictures (a folder a class) or of IDX files")->required();
  app.add_option("--model", o.model,
                 "A network of the zoo, or a model file to fine-tune (default: chosen from the data)");
  app.add_option("--out", o.out, "Folder for the results (default: out)");
  app.add_option("--epochs", o.epochs, "Passes over the training data (default: chosen)")->check(CLI::Range(1, 100000));
  app.add_option("--batch", o.batch, "Pictures a step (default: chosen)")->check(CLI::Range(1, 65536));
  app.add_option("--lr", o.learning_rate, "Peak learning rate (default: chosen)")->check(CLI::PositiveNumber);
  app.add_option("--optimizer", o.optimizer, "sgd or adamw");
  app.add_option("--weight-decay", o.weight_decay, "Of weights; norms and biases are left out")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--label-smoothing", o.label_smoothing, "0 to 1")->check(CLI::Range(0.0, 1.0));
  app.add_option("--ema", o.ema_decay, "Decay of a moving average of the weights; 0 is off")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--clip", o.clip_norm, "Largest global norm of the gradients; 0 is off (default: 5 for a model file)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--agc", o.unit_clip,
                 "Adaptive gradient clipping: largest gradient of a unit by its weights; 0 is off (default: 1 for a "
                 "model file)")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--warmup", o.warmup_epochs, "Epochs of rising learning rate")->check(CLI::NonNegativeNumber);
  app.add_option("--patience", o.patience, "Stop after so many epochs without improvement; 0 is off")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--precision", o.precision, "f32, bf16, or auto");
  app.add_option("--threads", o.threads, "Threads (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_option("--seed", o.seed, "Seed of weights, order and augmentation");
  app.add_option("--size", o.input_size, "Side of the network's input (default: the data's own)")
      ->check(CLI::Range(8, 2048));
  app.add_option("--augment", o.augmentation,
                 "Comma-separated: flip,crop,rotate,colour,cutout,mixup, or none (default: chosen)");
  app.add_option("--group", o.split_group,
                 "Regular expression on file names whose first group keeps samples together in the split");
  app.add_option("--time", o.split_time,
                 "Regular expression on file names whose first group orders samples in time for the split");
  add_picture_options(app, o.picture);
  app.add_option("--freeze", o.freeze, "Leave weights whose name begins so as they are");
  app.add_flag("--freeze-backbone", o.freeze_backbone, "Train the layer of the classes alone");
  app.add_flag("--new-head", o.new_head,
               "A new layer of the classes also where the model file knows as many classes as the data have");
  app.add_option("--features", o.features,
                 "Tensor of the model file behind which a new layer of the classes is put (default: the file's own is "
                 "replaced where it has other classes)");
  app.add_option("--network", o.network,
                 "Network of a file of weights alone, with its parameters: resnet18:classes=10 (default: what fits)");
  app.add_flag("--force", o.force, "Overwrite an existing result");
}

void check_train_options(const TrainOptions& o) {
  check_choice("--precision", o.precision, {"f32", "bf16", "auto"});
  check_choice("--optimizer", o.optimizer, {"sgd", "adamw"});
  check_picture_options(o.picture);
}

Work setup_train(CLI::App& app) {
  auto o = std::make_shared<TrainOptions>();
  add_train_options(app, *o);
  app.add_option("--resume", o->resume, "Folder of an interrupted run to go on with");
  return [o](Output& out) {
    check_train_options(*o);
    if (!o->resume.empty()) o->out = o->resume;
    o->progress = out.progress();
    const TrainResult r = train(*o);
    out.line(r.model + ": " + r.metric_name + " " + short_number(r.metric * 100) + " % on validation, " +
             std::to_string(r.epochs) + " epochs, " + short_number(r.images_per_s) + " images/s, " +
             short_number(r.seconds) + " s");
    nlohmann::json result{{"metric", {{"name", r.metric_name}, {"value", r.metric}}},
                          {"epochs", r.epochs},
                          {"images_per_s", r.images_per_s},
                          {"seconds", r.seconds},
                          {"model", r.model}};
    if (!r.new_head.empty()) result["new_head"] = r.new_head;
    out.result(result);
    return 0;
  };
}

}  // namespace hone::cli
