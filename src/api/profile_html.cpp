// A profile as one HTML page with inline pictures: timeline of a run, roofline of its layers.
#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <map>

#include "hone/profile.hpp"

namespace hone {
namespace {

__attribute__((format(printf, 1, 2))) std::string print(const char* format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  std::string s(static_cast<size_t>(std::max(0, std::vsnprintf(nullptr, 0, format, args))), '\0');
  std::vsnprintf(s.data(), s.size() + 1, format, again);
  va_end(args);
  va_end(again);
  return s;
}

std::string escaped(const std::string& s) {
  std::string out;
  for (char c : s)
    out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  return out;
}

// What the mouse shows over a layer.
std::string title(const LayerTime& l) {
  return "<title>" + escaped(l.op) + " " + escaped(l.name) + "\n" + escaped(l.kernel) +
         print("\n%.3f ms", l.milliseconds) + (l.gflop > 0 ? print(", %.1f GFLOP/s", gflops(l)) : "") + "</title>";
}

// One colour an operator, the same in both pictures.
std::string color_of(const std::string& op) {
  static const std::map<std::string, const char*> known = {
      {"Convolution", "#2b6cb0"}, {"GroupConvolution", "#38a169"},
      {"MatMul", "#805ad5"},      {"ScaledDotProductAttention", "#d53f8c"},
      {"Reorder", "#a0aec0"},     {"Copy", "#a0aec0"},
      {"Add", "#dd6b20"}};
  if (const auto it = known.find(op); it != known.end()) return it->second;
  unsigned h = 0;
  for (char c : op) h = h * 31 + static_cast<unsigned char>(c);
  return print("hsl(%u,45%%,55%%)", h % 360);
}

double total_ms(const std::vector<LayerTime>& layers) {
  double t = 1e-9;
  for (const LayerTime& l : layers) t += l.milliseconds;
  return t;
}

constexpr double width = 960;

std::string text(double x, double y, const char* anchor, const std::string& content, const char* color = "#1a202c") {
  return print("<text x='%.1f' y='%.1f' font-size='11' text-anchor='%s' fill='%s'>", x, y, anchor, color) +
         escaped(content) + "</text>";
}
std::string line(double x1, double y1, double x2, double y2, const char* color, double thick = 1) {
  return print("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-width='%.1f'/>", x1, y1, x2, y2, color,
               thick);
}

std::string timeline(const std::vector<LayerTime>& layers) {
  const double total = total_ms(layers);
  double at = 0;
  std::string s = print("<svg viewBox='0 0 %g 90' width='100%%' role='img' aria-label='Timeline of one run'>", width);
  for (const LayerTime& l : layers) {
    s += print("<rect x='%.2f' y='10' width='%.2f' height='50' fill='%s' stroke='#fff' stroke-width='0.3'>",
               at / total * width, std::max(0.2, l.milliseconds / total * width), color_of(l.op).c_str()) +
         title(l) + "</rect>";
    at += l.milliseconds;
  }
  for (int i = 0; i <= 10; ++i)
    s += text(i * width / 10, 78, i == 0 ? "start" : i == 10 ? "end" : "middle", print("%.2f", total * i / 10));
  return s + text(width, 89, "end", "ms") + "</svg>";
}

std::string roofline(const std::vector<LayerTime>& layers, const HostSpeed& h) {
  const double peak = std::max({h.f32_gflops, h.bf16_gflops, h.int8_gops, 1.0});
  constexpr double height = 420, left = 50, floor = height - 30, right = width - 10;
  // Both axes by powers of ten: operations a byte from 0.1 to 10,000, and four decades below the highest peak.
  const double top = std::pow(10, std::ceil(std::log10(peak)));
  const auto x = [&](double v) { return left + (std::log10(std::clamp(v, 0.1, 1e4)) + 1) / 5 * (right - left); };
  const auto y = [&](double v) {
    return 10 + (std::log10(top) - std::log10(std::clamp(v, top * 1e-4, top))) / 4 * (floor - 10);
  };
  std::string s = print("<svg viewBox='0 0 %g %g' width='100%%' role='img' aria-label='Roofline'>", width, height);
  for (int d = -1; d <= 4; ++d) {
    const double v = std::pow(10, d);
    s += line(x(v), 10, x(v), floor, "#e2e8f0") + text(x(v), height - 14, "middle", print("%g", v));
  }
  for (int d = 0; d <= 4; ++d) {
    const double v = top * std::pow(10, -d);
    s += line(left, y(v), right, y(v), "#e2e8f0") + text(left - 4, y(v) + 4, "end", print("%g", v));
  }
  s += text(right, height - 2, "end", "operations a byte") + text(4, 9, "start", "GFLOP/s");
  if (h.read_gbs > 0) {
    const double lowest = std::max(0.1, top * 1e-4 / h.read_gbs);
    s += line(x(lowest), y(lowest * h.read_gbs), x(peak / h.read_gbs), y(peak), "#4a5568", 1.5) +
         text(x(lowest) + 6, y(lowest * h.read_gbs) - 8, "start", print("memory %.0f GB/s", h.read_gbs), "#4a5568");
  }
  const auto roof = [&](double limit, const char* name, const char* color) {
    if (limit > 0)
      s += line(x(limit / std::max(1e-9, h.read_gbs)), y(limit), right, y(limit), color, 1.5) +
           text(right - 2, y(limit) - 4, "end", name + print(" %.0f", limit), color);
  };
  roof(h.f32_gflops, "f32", "#4a5568");
  roof(h.bf16_gflops, "bf16", "#2c7a7b");
  roof(h.int8_gops, "int8", "#9c4221");
  const double total = total_ms(layers);
  for (const LayerTime& l : layers) {
    if (l.gflop <= 0 || l.milliseconds <= 0 || l.mbytes <= 0) continue;
    s += print("<circle cx='%.1f' cy='%.1f' r='%.1f' fill='%s' fill-opacity='0.6'>", x(l.gflop * 1e3 / l.mbytes),
               y(gflops(l)), 2.5 + 18 * std::sqrt(l.milliseconds / total), color_of(l.op).c_str()) +
         title(l) + "</circle>";
  }
  return s + "</svg>";
}

}  // namespace

std::string profile_html(const std::string& model, const BenchmarkResult& r, const HostInfo& host, const HostSpeed& h) {
  const std::string name = escaped(model.substr(model.rfind('/') + 1));
  std::string s = "<!doctype html><html lang='en'><meta charset='utf-8'><title>" + name +
                  "</title><style>body{font:14px system-ui,sans-serif;max-width:1000px;margin:2em "
                  "auto;color:#1a202c}table{border-collapse:collapse;width:100%;font-size:12px}"
                  "td,th{padding:2px 8px;border-bottom:1px solid "
                  "#e2e8f0;text-align:right}td:nth-child(-n+4),th:nth-child(-n+4){text-align:left;word-break:break-all}"
                  "details{font-size:12px}</style>";
  s += "<h1>" + name + "</h1><p>" + escaped(host.cpu) + print(", %d cores, ", host.cores) + escaped(host.isa) +
       print("; %d threads, ", r.threads) + escaped(r.precision + (r.precision == r.taken ? "" : " (" + r.taken + ")"));
  s += print(
      ". Measured at start: f32 %.0f GFLOP/s, bf16 %.0f GFLOP/s, int8 %.0f GOP/s, memory %.1f GB/s, core to core %.0f "
      "ns.</p>",
      h.f32_gflops, h.bf16_gflops, h.int8_gops, h.read_gbs, h.core_to_core_ns);
  s += print(
      "<p>Latency: median %.3f ms, fastest %.3f ms, 90 %% below %.3f ms, 99 %% below %.3f ms. Peak memory %.1f MB.</p>",
      r.median_ms, r.min_ms, r.p90_ms, r.p99_ms, r.peak_rss_mb);
  s += print("<h2>Timeline: %.3f ms, each layer at its fastest</h2>", total_ms(r.layers)) + timeline(r.layers) +
       "<h2>Roofline</h2>" + roofline(r.layers, h);
  s += "<h2>Layers</h2><table><tr><th>layer</th><th>operator</th><th>kernel</th><th>type</th><th>ms</th><th>%</"
       "th><th>GFLOP/s</th><th>of peak, %</th><th>MB</th><th>why</th></tr>";
  const double total = total_ms(r.layers);
  for (const LayerTime& l : r.layers) {
    const double share = share_of_peak(l, h);
    s += "<tr><td>" + escaped(l.name) + "</td><td>" + escaped(l.op) + "</td><td>" + escaped(l.kernel) + "</td><td>" +
         l.type + print("</td><td>%.4f</td><td>%.1f</td><td>", l.milliseconds, l.milliseconds / total * 100) +
         (l.gflop > 0 ? print("%.1f", gflops(l)) : "") + "</td><td>" + (share > 0 ? print("%.0f", share * 100) : "") +
         print("</td><td>%.2f</td><td>", l.mbytes) + escaped(l.why) + "</td></tr>";
  }
  s += "</table>";
  s += "<h2>Why these kernels</h2>";
  for (const LayerTime& l : r.layers) {
    if (l.refused.empty()) continue;
    s += "<details><summary>" + escaped(l.op + " " + l.name + ": " + l.kernel) + "</summary><ul>";
    for (const std::string& why : l.refused) s += "<li>not " + escaped(why) + "</li>";
    s += "</ul></details>";
  }
  return s + "</html>\n";
}

}  // namespace hone
