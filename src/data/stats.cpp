#include "data/stats.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>

#include "data/parallel.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

/// Sums of samples and their squares: 64 bits hold 2^48 squared samples.
struct Sums {
  uint64_t sum[3] = {}, squares[3] = {}, pixels = 0;
};

void add(const ImageView& v, Sums& s) {
  const size_t n = size_t(v.width) * size_t(v.height), c = size_t(v.channels);
  uint64_t histogram[3][256] = {};
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < c; ++k) ++histogram[k][v.pixels[i * c + k]];
  }
  for (size_t k = 0; k < c; ++k) {
    for (uint64_t x = 0; x < 256; ++x) {
      s.sum[k] += x * histogram[k][x];
      s.squares[k] += x * x * histogram[k][x];
    }
  }
  s.pixels += n;
}

int median(const std::map<int, size_t>& counts, size_t n) {
  size_t seen = 0;
  for (const auto& [value, count] : counts) {
    seen += count;
    if (2 * seen >= n) return value;
  }
  return 0;
}

}  // namespace

ChannelStats channel_stats(const Dataset& data, const std::vector<uint32_t>& samples, const Preprocessing& pre,
                           size_t limit, int threads) {
  if (samples.empty() || limit == 0)
    throw Error(ErrorCode::usage, "[data] statistics need at least one sample", data.path());
  pre.validate();
  const size_t n = std::min(limit, samples.size());
  Sums total;
  std::mutex mutex;
  for_each_sample_or_throw(n, threads, [&](size_t i, int) {
    const uint32_t sample = samples[i * samples.size() / n];
    thread_local Image image;
    Sums s;
    try {
      const ImageView raw = data.peek(sample);
      if (raw.pixels && raw.channels == pre.channels() &&
          (pre.width == 0 || (raw.width == pre.width && raw.height == pre.height))) {
        add(raw, s);
      } else {
        data.read(sample, image, pre.exif_orientation);
        add(pre.fit(image), s);
      }
    } catch (const Error& e) {
      if (!e.where().empty()) throw;
      throw e.at(data.file(sample));
    }
    const std::lock_guard lock(mutex);
    for (size_t k = 0; k < 3; ++k) {
      total.sum[k] += s.sum[k];
      total.squares[k] += s.squares[k];
    }
    total.pixels += s.pixels;
  });
  ChannelStats out;
  out.pixels = total.pixels;
  for (int k = 0; k < pre.channels(); ++k) {
    const int from = pre.color == ColorOrder::bgr ? 2 - k : k;
    const double mean = double(total.sum[from]) / double(total.pixels);
    const double variance = double(total.squares[from]) / double(total.pixels) - mean * mean;
    out.mean.push_back(mean);
    out.deviation.push_back(std::sqrt(std::max(variance, 1e-6)));
  }
  return out;
}

Balance class_balance(const Dataset& data, const std::vector<uint32_t>& samples) {
  Balance b;
  b.counts = data.class_counts(samples);
  size_t most = 0, least = 0, occurring = 0;
  double inverse = 0;
  for (size_t c = 0; c < b.counts.size(); ++c) {
    const size_t n = b.counts[c];
    if (n == 0) {
      b.missing.push_back(data.classes()[c]);
      continue;
    }
    most = std::max(most, n);
    least = least == 0 ? n : std::min(least, n);
    ++occurring;
    inverse += 1.0 / double(n);
  }
  if (least > 0) b.imbalance = double(most) / double(least);
  for (size_t n : b.counts) b.weights.push_back(n == 0 ? 0 : double(occurring) / (double(n) * inverse));
  return b;
}

SizeStats size_stats(const Dataset& data, int threads) {
  SizeStats s;
  std::mutex mutex;
  std::map<int, size_t> widths, heights;
  for_each_sample_or_throw(data.size(), threads, [&](size_t i, int) {
    const ImageInfo info = data.info(i);
    const bool swapped = info.orientation >= 5;
    const int w = swapped ? info.height : info.width, h = swapped ? info.width : info.height;
    const std::lock_guard lock(mutex);
    ++s.sizes[{w, h}];
    ++widths[w];
    ++heights[h];
    ++s.formats[info.format == ImageFormat::unknown ? "raw" : format_name(info.format)];
    ++s.channels[info.channels];
    s.turned += info.orientation != 1;
  });
  s.median_width = median(widths, data.size());
  s.median_height = median(heights, data.size());
  s.min_side = std::min(widths.begin()->first, heights.begin()->first);
  s.max_side = std::max(widths.rbegin()->first, heights.rbegin()->first);
  return s;
}

Duplicates find_duplicates(const Dataset& data) {
  const auto& digests = data.digests();
  std::vector<uint32_t> order = data.indices(Part::none);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return digests[a] != digests[b] ? digests[a] < digests[b] : a < b; });
  Duplicates d;
  for (size_t i = 0; i < order.size();) {
    size_t n = 1;
    bool conflict = false;
    for (; i + n < order.size() && digests[order[i + n]] == digests[order[i]]; ++n)
      conflict = conflict || data.label(order[i + n]) != data.label(order[i]);
    if (n > 1) {
      d.groups.emplace_back(order.begin() + ptrdiff_t(i), order.begin() + ptrdiff_t(i + n));
      d.conflicting += conflict;
      d.redundant += n - 1;
    }
    i += n;
  }
  std::sort(d.groups.begin(), d.groups.end());
  return d;
}

std::string stats_json(const Dataset& data, const Preprocessing& preprocessing) {
  using nlohmann::json;
  const auto all = data.indices(Part::none);
  json j = {{"path", data.path()}, {"format", data.format()}, {"samples", data.size()}, {"revision", data.revision()}};
  const Balance balance = class_balance(data, all);
  for (size_t c = 0; c < balance.counts.size(); ++c)
    j["classes"].push_back({{"name", data.classes()[c]}, {"samples", balance.counts[c]}});
  j["imbalance"] = balance.imbalance;
  for (Part p : {Part::train, Part::val, Part::test}) {
    if (data.has_parts()) j["parts"][part_name(p)] = data.indices(p).size();
  }
  const SizeStats sizes = size_stats(data);
  std::vector<std::pair<size_t, std::pair<int, int>>> common;
  for (const auto& [size, count] : sizes.sizes) common.push_back({count, size});
  std::stable_sort(common.begin(), common.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  common.resize(std::min<size_t>(common.size(), 20));
  for (const auto& [count, size] : common)
    j["sizes"].push_back({{"width", size.first}, {"height", size.second}, {"samples", count}});
  j["different_sizes"] = sizes.sizes.size();
  j["median_size"] = {sizes.median_width, sizes.median_height};
  j["formats"] = sizes.formats;
  for (const auto& [channels, count] : sizes.channels) j["channels"][std::to_string(channels)] = count;
  const ChannelStats colors = channel_stats(data, all, preprocessing);
  j["mean"] = colors.mean;
  j["deviation"] = colors.deviation;
  const Duplicates duplicates = find_duplicates(data);
  j["duplicates"] = {{"groups", duplicates.groups.size()},
                     {"redundant", duplicates.redundant},
                     {"conflicting_labels", duplicates.conflicting}};
  return j.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace hone::data
