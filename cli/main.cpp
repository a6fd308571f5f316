// hone: from a team's own data to a fast, small model. The verbs are listed here; each has a file of its own.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <new>

#include "hone/hone.hpp"
#include "verb.hpp"

namespace hone::cli {
namespace {

constexpr Verb verbs[] = {
    {"auto", "Train, test, quantize, compile, measure and package a classifier from a folder of labelled pictures",
     "  hone auto photos --out out\n  hone auto photos --model resnet20 --time-budget 10m --max-drop 0.3", setup_auto,
     false, true},
    {"train", "Train or fine-tune a network on labelled pictures",
     "  hone train photos --model resnet20 --epochs 8 --out run\n  hone train photos --resume run", setup_train, false,
     true},
    {"test", "Measure a model on labelled pictures",
     "  hone test run/model.hone --data photos\n  hone test run/model.hone --data photos --split val --precision bf16",
     setup_test, false, true},
    {"predict", "Classify pictures", "  hone predict run/model.hone cat.jpg dog.png --top 3", setup_predict},
    {"quantize", "Make an INT8 model from a float model and some pictures",
     "  hone quantize run/model.hone --data photos --out int8.hone\n  hone quantize net.onnx --data photos --out "
     "net.int8.xml --mean 123.7,116.3,103.5 --scale 58.4,57.1,57.4",
     setup_quantize, false, true},
    {"convert", "Read a model in one form and write it in another",
     "  hone convert net.onnx net.xml\n  hone convert net.xml net.onnx --opset 17\n"
     "  hone convert net.onnx camera.xml --input 0:u8 --layout 'NCHW->NHWC' --mean 123.7,116.3,103.5 --scale "
     "58.4,57.1,57.4",
     setup_convert, true},
    {"compare", "Run two models on the same inputs and compare their outputs",
     "  hone compare net.onnx net.xml\n  hone compare a.onnx b.onnx --input x=x.npy --rtol 1e-3\n  hone compare "
     "net.onnx onnxruntime: --shape x[1,3,224,224]",
     setup_compare, true},
    {"run", "Run a model on tensors or pictures and write its outputs",
     "  hone run net.onnx --input x=x.npy --output-dir out", setup_run, true},
    {"benchmark", "Measure latency, throughput, loading and memory of a model",
     "  hone benchmark net.onnx --threads 2 -t 2\n  hone benchmark net.xml --hint throughput --json\n  hone benchmark "
     "net.onnx --threads 2 --peer openvino,onnxruntime",
     setup_benchmark, true},
    {"inspect", "Show inputs, outputs, operators, parameters and operations of a model",
     "  hone inspect net.onnx\n  hone inspect net.onnx --trainable --svg net.svg\n  hone inspect app --verify "
     "sign.pub.pem --key model.key",
     setup_inspect, true},
    {"package", "Make a folder with the compiled model and a small program around it",
     "  hone package run/model.hone --out app\n  openssl rand -hex 32 > model.key; openssl genpkey -algorithm ed25519 "
     "-out sign.pem\n  hone package run/model.hone --out app --encrypt model.key --sign sign.pem",
     setup_package},
    {"tune", "Measure which kernel is the fastest for each layer of a model on this machine",
     "  hone tune net.onnx --out records.json; hone benchmark net.onnx --records records.json\n  hone tune net.onnx "
     "--out tuned.hone --threads 2 --precision bf16",
     setup_tune, true, true},
    {"conformance", "Check models against their stored expected outputs", "  hone conformance cases", setup_conformance,
     true, true},
};

const Verb* find_verb(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    for (const Verb& v : verbs) {
      if (std::string_view(argv[i]) == v.name) return &v;
    }
    if (argv[i][0] != '-') return nullptr;
  }
  return nullptr;
}

int run(int argc, char** argv) {
  CLI::App app("hone: import, train, compress, compile and run neural networks on the edge", "hone");
  app.set_version_flag("--version", [] {
    const HostInfo host = host_info();
    return "hone " + version() + "\n" + host.cpu + ", " + std::to_string(host.cores) + " cores, " + host.isa;
  });
  app.require_subcommand(1);
  app.footer("`hone VERB --help` shows the options and examples of a verb.");
  const Verb* verb = find_verb(argc, argv);
  Output out(verb ? verb->name : "");
  // Only the verb at hand sets its options up: start-up stays in milliseconds.
  Work work;
  std::vector<std::string> extensions;
  for (const Verb& v : verbs) {
    CLI::App* sub = app.add_subcommand(v.name, v.summary);
    if (&v != verb) continue;
    sub->add_flag("--json", out.json, "Print one JSON object on stdout");
    sub->footer(std::string("examples:\n") + v.examples);
    sub->option_defaults()->always_capture_default(false);
    work = v.setup(*sub);
    if (v.extensions)
      sub->add_option("--extension", extensions, "Shared library with operators of your own; may be repeated");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    const std::string name = verb ? " " + std::string(verb->name) : "";
    std::string what = e.what();
    if (!verb && argc > 1 && argv[1][0] != '-') what = std::string("unknown verb '") + argv[1] + "'";
    // CLI11 spells a bound that is none in 309 digits.
    if (const size_t none = what.find(" to 1797693134862"); none != what.npos)
      what = what.substr(0, what.find(" not in range")) + " is too small";
    if (what == "A subcommand is required") what = "a verb is required";
    std::fprintf(stderr, "hone%s: %s\nsee: hone%s --help\n", name.c_str(), what.c_str(), name.c_str());
    for (int i = 1; i < argc; ++i) out.json |= std::string_view(argv[i]) == "--json";
    if (out.json) {
      out.json = false;
      std::string text;
      for (char c : what)
        text += c == '"' || c == '\\' ? std::string("\\") + c : c == '\n' ? std::string(" ") : std::string(1, c);
      std::printf("{\"error\": {\"code\": \"usage\", \"message\": \"%s\", \"where\": \"\"}}\n", text.c_str());
    }
    return 2;
  }
  catch_interrupts(out, verb->stops_itself, {argv + 2, argv + argc});
  try {
    for (const std::string& library : extensions) load_extension(library);
    return work(out);
  } catch (const Error& e) {
    const int code = out.error(e);
    if (e.code() == ErrorCode::usage) std::fprintf(stderr, "see: hone %s --help\n", verb->name);
    return code;
  } catch (const std::bad_alloc&) {
    return out.error(Error(ErrorCode::failed, "[memory] out of memory", "", "use a smaller batch or input"));
  } catch (const std::exception& e) {
    return out.error(Error(ErrorCode::failed, std::string("[internal] ") + e.what()));
  }
}

}  // namespace
}  // namespace hone::cli

int main(int argc, char** argv) {
  hone::cli::hold_standard_streams();
  return hone::cli::after_printing(hone::cli::run(argc, argv));
}
