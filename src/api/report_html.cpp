#include "api/report_html.hpp"

#include <algorithm>
#include <cstdarg>
#include <nlohmann/json.hpp>

#include "data/grid.hpp"

namespace hone {
namespace {

using nlohmann::json;

std::string format(const char* f, ...) {
  char text[1024];
  va_list args;
  va_start(args, f);
  std::vsnprintf(text, sizeof text, f, args);
  va_end(args);
  return text;
}

std::string escaped(const std::string& s) {
  std::string out;
  for (char c : s) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

std::string cell(const std::string& s, const char* style = "") {
  return std::string("<td") + (*style ? std::string(" style=\"") + style + "\"" : "") + ">" + s + "</td>";
}

std::string curve(const std::vector<double>& values, double low, double high, const char* colour) {
  std::string points;
  for (size_t i = 0; i < values.size(); ++i) {
    const double x =
        values.size() > 1 ? 40 + 540.0 * static_cast<double>(i) / static_cast<double>(values.size() - 1) : 310;
    const double y = 170 - 150 * (values[i] - low) / std::max(1e-9, high - low);
    points += format("%.1f,%.1f ", x, y);
  }
  return format("<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"%s\"/>", colour,
                points.substr(0, 900).c_str());
}

std::string chart(const std::string& title, const std::vector<std::pair<std::string, std::vector<double>>>& series) {
  static constexpr const char* colours[] = {"#2266cc", "#cc5522", "#228844"};
  double low = 1e300, high = -1e300;
  for (const auto& [name, v] : series) {
    for (double x : v) {
      low = std::min(low, x);
      high = std::max(high, x);
    }
  }
  std::string s = "<h3>" + title +
                  "</h3><svg width=\"600\" height=\"200\" font-size=\"11\"><rect x=\"40\" y=\"20\" width=\"540\" "
                  "height=\"150\" fill=\"#fafafa\" stroke=\"#ccc\"/>";
  s += format("<text x=\"2\" y=\"26\">%.3g</text><text x=\"2\" y=\"172\">%.3g</text>", high, low);
  for (size_t i = 0; i < series.size(); ++i) {
    // Long runs are thinned: a point a pixel is enough.
    std::vector<double> v;
    const size_t step = std::max<size_t>(1, series[i].second.size() / 60);
    for (size_t k = 0; k < series[i].second.size(); k += step) v.push_back(series[i].second[k]);
    s += curve(v, low, high, colours[i % 3]);
    s += format("<text x=\"%d\" y=\"190\" fill=\"%s\">%s</text>", 40 + static_cast<int>(i) * 150, colours[i % 3],
                series[i].first.c_str());
  }
  return s + "</svg>";
}

std::string rows_table(const json& report) {
  std::string s =
      "<table><tr><th>precision</th><th>accuracy</th><th>95 % "
      "interval</th><th>file</th><th>latency</th><th>throughput</th><th>memory</th></tr>";
  for (const json& r : report["rows"]) {
    const json& m = r["metric"];
    s += "<tr>" + cell(r["precision"].get<std::string>()) + cell(format("%.2f %%", m["value"].get<double>() * 100)) +
         cell(format("%.2f - %.2f", m["ci95"][0].get<double>() * 100, m["ci95"][1].get<double>() * 100)) +
         cell(format("%.2f MB", r["size_bytes"].get<double>() / 1e6)) +
         cell(format("%.3f ms", r["latency_ms"].get<double>())) +
         cell(format("%.0f /s", r["throughput_fps"].get<double>())) +
         cell(format("%.0f MB", r["peak_rss_mb"].get<double>())) + "</tr>";
  }
  return s + "</table>";
}

std::string confusion_table(const TestResult& t) {
  if (t.labels.size() > 60)
    return "<p>" + std::to_string(t.labels.size()) + " classes: the matrix is in report.json's run.</p>";
  int64_t most = 1;
  for (const auto& row : t.confusion) {
    for (int64_t n : row) most = std::max(most, n);
  }
  std::string s = "<table class=\"matrix\"><tr><th>true \\ predicted</th>";
  for (const std::string& l : t.labels) s += "<th>" + escaped(l) + "</th>";
  s += "</tr>";
  for (size_t i = 0; i < t.labels.size(); ++i) {
    s += "<tr><th>" + escaped(t.labels[i]) + "</th>";
    for (size_t k = 0; k < t.labels.size(); ++k) {
      const double share = static_cast<double>(t.confusion[i][k]) / static_cast<double>(most);
      const std::string style = format("background: rgba(%s, %.2f)", i == k ? "40,140,70" : "200,60,40",
                                       t.confusion[i][k] ? 0.12 + 0.7 * share : 0.0);
      s += cell(t.confusion[i][k] ? std::to_string(t.confusion[i][k]) : "", style.c_str());
    }
    s += "</tr>";
  }
  return s + "</table>";
}

std::string class_table(const TestResult& t) {
  std::string s = "<table><tr><th>class</th><th>precision</th><th>recall</th><th>samples</th></tr>";
  for (size_t i = 0; i < t.labels.size(); ++i) {
    int64_t n = 0;
    for (int64_t k : t.confusion[i]) n += k;
    s += "<tr>" + cell(escaped(t.labels[i])) + cell(format("%.3f", t.precision[i])) +
         cell(format("%.3f", t.recall[i])) + cell(std::to_string(n)) + "</tr>";
  }
  return s + "</table>";
}

std::string worst_pictures(const ReportPage& p) {
  std::string s = "<div class=\"worst\">";
  for (const auto& w : p.worst) {
    std::vector<data::GridCell> cells(1);
    cells[0].image = p.data->read(w.index);
    cells[0].frame = w.label == w.predicted ? data::Color{60, 140, 60, 255} : data::Color{200, 50, 40, 255};
    data::GridOptions o;
    o.columns = 1;
    o.cell = 84;
    s += "<figure><img src=\"" + data::png_data_uri(data::make_grid(cells, o)) + "\"><figcaption>" +
         escaped(p.test.labels[static_cast<size_t>(w.label)]) + "<br>taken for " +
         escaped(p.test.labels[static_cast<size_t>(w.predicted)]) + format("<br>p %.3f", w.probability) +
         "</figcaption></figure>";
  }
  return s + "</div>";
}

std::string layer_table(const std::vector<LayerTime>& layers) {
  double total = 0;
  for (const LayerTime& l : layers) total += l.milliseconds;
  std::string s = "<table><tr><th>layer</th><th>operator</th><th>kernel</th><th>ms</th><th></th></tr>";
  for (const LayerTime& l : layers) {
    const double share = total > 0 ? l.milliseconds / total : 0;
    s += "<tr>" + cell(escaped(l.name)) + cell(escaped(l.op)) + cell(escaped(l.kernel)) +
         cell(format("%.4f", l.milliseconds)) +
         cell(format("<div style=\"background:#6699dd;height:10px;width:%.0fpx\"></div>", 200 * share)) + "</tr>";
  }
  return s + "</table>";
}

}  // namespace

std::string report_html(const ReportPage& p) {
  const json r = json::parse(p.report);
  std::vector<double> loss, train, validation;
  for (const json& e : r["training"]["log"]) {
    loss.push_back(e["loss"]);
    train.push_back(e["train_accuracy"].get<double>() * 100);
    validation.push_back(e["validation_accuracy"].get<double>() * 100);
  }
  const json &d = r["data"], &t = r["training"], &q = r["quantization"];
  std::string s =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Hone report</title><style>"
      "body{font:14px sans-serif;margin:24px "
      "auto;max-width:1000px;color:#222}table{border-collapse:collapse;margin:8px 0}"
      "td,th{border:1px solid #ddd;padding:3px "
      "8px;text-align:right}th{background:#f4f4f4}td:first-child,th:first-child{text-align:left}"
      ".matrix td,.matrix th{font-size:11px;padding:2px "
      "5px}.worst{display:flex;flex-wrap:wrap}figure{margin:4px;font-size:11px;text-align:center}</style>"
      "<h1>Hone report</h1>";
  s += format(
      "<p>%zu classes; %zu training, %zu validation and %zu test pictures (split: %s, seed %lld); judged on the %s "
      "split. %zu exact duplicates. ",
      d["classes"].get<size_t>(), d["train"].get<size_t>(), d["val"].get<size_t>(), d["test"].get<size_t>(),
      d["split"]["kind"].get<std::string>().c_str(), static_cast<long long>(d["split"]["seed"].get<uint64_t>()),
      d["judged_on"].get<std::string>().c_str(), d["duplicates"].get<size_t>());
  s += "Data revision " + d["revision"].get<std::string>().substr(0, 16) + ".</p>";
  s += format("<p>%s trained in %s for %zu epochs, %.0f s, %.0f images/s. Host: ",
              t["network"].get<std::string>().c_str(), t["precision"].get<std::string>().c_str(),
              t["epochs"].get<size_t>(), t["seconds"].get<double>(), t["images_per_s"].get<double>());
  s += escaped(r["host"]["cpu"].get<std::string>()) + ", " + std::to_string(r["host"]["cores"].get<int>()) +
       " cores, " + r["host"]["isa"].get<std::string>() + ".</p>";
  s += "<h2>Precisions</h2>" + rows_table(r) + "<p>Chosen: " + escaped(r["chosen"].get<std::string>()) + "</p>";
  s += format(
      "<p>INT8: %zu layers, %.1f %% of the multiply-accumulates; %zu layers kept their precision. Loss of accuracy on "
      "validation: %.2f points.</p>",
      q["quantized_nodes"].get<size_t>(), q["mac_share"].get<double>() * 100, q["kept_nodes"].get<size_t>(),
      q["validation_drop"].get<double>() * 100);
  for (const json& k : q["kept"]) s += "<p>kept " + escaped(k.get<std::string>()) + "</p>";
  s += "<h2>Training</h2>" + chart("Loss", {{"training", loss}}) +
       chart("Accuracy, %", {{"training", train}, {"validation", validation}});
  s += "<h2>Classes</h2>" + class_table(p.test) + "<h3>Confusion matrix</h3>" + confusion_table(p.test);
  s += "<h2>Worst samples</h2>" + worst_pictures(p);
  s += "<h2>Time by layer</h2>" + layer_table(p.layers);
  return s + "</html>\n";
}

}  // namespace hone
