#include "data/loader.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "base/thread_pool.hpp"
#include "hone/error.hpp"

namespace hone::data {
namespace {

[[noreturn]] void wrong(const std::string& what) {
  throw Error(ErrorCode::usage, "[loader] " + what);
}

using Order = std::shared_ptr<const std::vector<uint32_t>>;

/// Pictures kept after decoding. Entries are written once, by the thread that claimed them.
class PictureCache {
 public:
  PictureCache(size_t samples, size_t limit) : limit_(limit), state_(samples), images_(samples) {}
  /// The kept picture, or nullptr.
  const Image* find(size_t i) const {
    return state_[i].load(std::memory_order_acquire) == kept ? &images_[i] : nullptr;
  }
  /// Keeps `image` where there is room and nobody else does.
  void keep(size_t i, const Image& image) {
    if (used_.fetch_add(image.byte_size(), std::memory_order_relaxed) + image.byte_size() > limit_) {
      used_.fetch_sub(image.byte_size(), std::memory_order_relaxed);
      return;
    }
    uint8_t expected = missing;
    if (!state_[i].compare_exchange_strong(expected, busy)) {
      used_.fetch_sub(image.byte_size(), std::memory_order_relaxed);
      return;
    }
    images_[i] = image;
    state_[i].store(kept, std::memory_order_release);
  }

 private:
  enum : uint8_t { missing, busy, kept };
  size_t limit_;
  std::atomic<size_t> used_{0};
  std::vector<std::atomic<uint8_t>> state_;
  std::vector<Image> images_;
};

/// Buffers of one batch at full size; a shorter last batch is a view of them.
struct Slot {
  Tensor images, labels, other_labels, weights;
  Batch batch;
  int64_t ready = -1;  // ticket that lies here finished
  std::exception_ptr error;
};

/// What a worker reuses from picture to picture.
struct Scratch {
  Image decoded, fitted, placed, spare;
  std::vector<uint8_t> row;
};

}  // namespace

struct Loader::Impl {
  const Dataset& data;
  const std::vector<uint32_t> samples;
  const Preprocessing pre;
  const Augmentation aug;
  const LoaderOptions options;
  const Normalizer normalizer;
  const Color fill;
  const size_t picture_values;
  PictureCache cache;
  bool in_memory = false;  // pictures lie decoded at the right size
  int thread_count = 1;

  // The ring. Ticket t is the t-th batch after `start`; it lives in slot t % slots.
  std::mutex mutex;
  std::condition_variable work, done;
  std::vector<Slot> slots;
  std::vector<std::thread> threads;
  std::map<int64_t, Order> orders;
  LoaderState start;
  int64_t claimed = 0;    // tickets given to workers
  int64_t delivered = 0;  // batches given to the consumer
  int64_t released = 0;   // batches the consumer is done with
  bool stop = false;
  double waited = 0;
  int64_t ready_at_once = 0;

  Impl(const Dataset& d, std::vector<uint32_t> s, const Preprocessing& p, const Augmentation& a, const LoaderOptions& o)
      : data(d),
        samples(std::move(s)),
        pre((p.validate(), p)),
        aug((a.validate(), a)),
        options(o),
        normalizer(pre),
        fill(a.fill_color()),
        picture_values(size_t(p.width) * size_t(p.height) * size_t(p.channels())),
        cache(samples.empty() ? 0 : d.size(), o.cache_bytes) {
    if (samples.empty()) wrong("there are no samples");
    for (uint32_t i : samples) {
      if (i >= d.size()) wrong("a sample number lies outside of the data");
    }
    if (pre.width < 1) wrong("the preprocessing must name width and height");
    if (o.batch < 1 || o.batch > (1 << 20)) wrong("the batch must lie in 1..1048576");
    if (o.prefetch < 1 || o.prefetch > 1024) wrong("prefetch must lie in 1..1024");
    if (o.threads < 0 || o.threads > 1024) wrong("threads must lie in 0..1024");
    if (o.epochs < -1) wrong("epochs must be -1 or more");
    if (o.type != ElementType::f32 && o.type != ElementType::u8) wrong("images are f32 or u8");
    if (o.type == ElementType::u8 && aug.mixup > 0) wrong("mixup needs f32 images");
    if (o.drop_last && o.batch > int64_t(samples.size()))
      wrong("drop_last leaves no batch of " + std::to_string(o.batch) + " from " + std::to_string(samples.size()) +
            " samples");
    start.seed = int64_t(o.seed);
    const ImageView first = d.peek(samples[0]);
    in_memory = first.pixels && first.width == pre.width && first.height == pre.height &&
                first.channels == pre.channels() && !aug.crops_at_random();
    thread_count = o.threads > 0 ? o.threads : in_memory ? 1 : available_cores();
    slots.resize(size_t(o.prefetch) + 1);
    for (Slot& slot : slots) {
      slot.images = Tensor(o.type, pre.batch_shape(o.batch));
      slot.labels = Tensor(ElementType::i64, {o.batch});
      if (aug.mixup > 0) {
        slot.other_labels = Tensor(ElementType::i64, {o.batch});
        slot.weights = Tensor(ElementType::f32, {o.batch});
      }
    }
  }

  int64_t per_epoch() const {
    const auto n = int64_t(samples.size());
    return options.drop_last ? n / options.batch : (n + options.batch - 1) / options.batch;
  }

  /// Epoch and step of a ticket.
  std::pair<int64_t, int64_t> place_of(int64_t ticket) const {
    const int64_t at = start.position / options.batch + ticket;
    return {start.epoch + at / per_epoch(), at % per_epoch()};
  }
  bool beyond_end(int64_t ticket) const { return options.epochs >= 0 && place_of(ticket).first >= options.epochs; }

  Order order_of(int64_t epoch) {  // under the mutex
    if (!options.shuffle) epoch = 0;
    Order& slot = orders[epoch];
    if (!slot) {
      auto v = std::make_shared<std::vector<uint32_t>>(samples);
      if (options.shuffle) Random({uint64_t(start.seed), uint64_t(epoch), 0x6f72646572u}).shuffle(*v);
      slot = std::move(v);
      while (orders.size() > 3) orders.erase(orders.begin());
    }
    return slot;
  }

  void start_threads() {  // under the mutex
    if (!threads.empty()) return;
    for (int i = 0; i < thread_count; ++i) threads.emplace_back([this] { worker(); });
  }

  void stop_threads() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    work.notify_all();
    for (auto& t : threads) t.join();
    threads.clear();
    stop = false;
  }

  void worker() {
    Scratch scratch;
    scratch.row.resize(size_t(pre.width) * size_t(pre.channels()));
    for (;;) {
      int64_t ticket, epoch, step;
      Order order;
      {
        std::unique_lock lock(mutex);
        work.wait(lock, [&] { return stop || (claimed < released + int64_t(slots.size()) && !beyond_end(claimed)); });
        if (stop) return;
        ticket = claimed++;
        std::tie(epoch, step) = place_of(ticket);
        order = order_of(epoch);
      }
      Slot& slot = slots[size_t(ticket) % slots.size()];
      try {
        fill_slot(slot, *order, epoch, step, scratch);
      } catch (...) {
        slot.error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex);
        slot.ready = ticket;
      }
      done.notify_one();
    }
  }

  void fill_slot(Slot& slot, const std::vector<uint32_t>& order, int64_t epoch, int64_t step, Scratch& scratch) {
    const int64_t first = step * options.batch, n = std::min(options.batch, int64_t(order.size()) - first);
    Batch& b = slot.batch;
    b.epoch = epoch;
    b.step = step;
    b.last = step + 1 == per_epoch();
    b.samples.assign(order.begin() + first, order.begin() + first + n);
    const auto part = [&](const Tensor& whole, Shape shape) {
      return Tensor(whole.element_type(), std::move(shape), whole.raw(), std::make_shared<Tensor>(whole));
    };
    b.images = part(slot.images, pre.batch_shape(n));
    b.labels = part(slot.labels, {n});
    auto* labels = slot.labels.data<int64_t>();
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t sample = b.samples[size_t(i)];
      labels[i] = data.label(sample);
      if (options.type == ElementType::f32) {
        make_picture(sample, epoch, slot.images.data<float>() + size_t(i) * picture_values, scratch);
      } else {
        make_picture(sample, epoch, slot.images.data<uint8_t>() + size_t(i) * picture_values, scratch);
      }
    }
    if (aug.mixup > 0) {
      b.other_labels = part(slot.other_labels, {n});
      b.weights = part(slot.weights, {n});
      mix(slot, n, epoch);
    }
  }

  /// Picture i is mixed with picture n-1-i: the order is random already, and both are at hand at once.
  void mix(Slot& slot, int64_t n, int64_t epoch) {
    const auto* labels = slot.labels.data<int64_t>();
    auto* others = slot.other_labels.data<int64_t>();
    auto* weights = slot.weights.data<float>();
    for (int64_t i = 0; i < n; ++i) {
      others[i] = labels[n - 1 - i];
      weights[i] = float(SampleDraws(aug, uint64_t(start.seed), epoch, slot.batch.samples[size_t(i)]).mixup_weight());
    }
    for (int64_t i = 0; i < n / 2; ++i) {
      float* a = slot.images.data<float>() + size_t(i) * picture_values;
      float* b = slot.images.data<float>() + size_t(n - 1 - i) * picture_values;
      const float wa = weights[i], wb = weights[n - 1 - i];
      for (size_t k = 0; k < picture_values; ++k) {
        const float x = a[k], y = b[k];
        a[k] = wa * x + (1 - wa) * y;
        b[k] = wb * y + (1 - wb) * x;
      }
    }
  }

  /// The picture at the size of the model, as 8-bit samples: kept, in memory, or decoded now.
  ImageView fitted_picture(uint32_t sample, const SampleDraws& draws, Scratch& s) {
    if (in_memory) {
      const ImageView v = data.peek(sample);
      if (v.width == pre.width && v.height == pre.height && v.channels == pre.channels()) return v;
    }
    try {
      const Image* kept = cache.find(sample);
      if (!aug.crops_at_random()) {
        if (kept) return *kept;
        data.read(sample, s.decoded, pre.exif_orientation);
        s.fitted = pre.fit(s.decoded);
        cache.keep(sample, s.fitted);
        return s.fitted;
      }
      ImageView whole;
      if (kept) {
        whole = *kept;
      } else {
        data.read(sample, s.decoded, pre.exif_orientation);
        cache.keep(sample, s.decoded);
        whole = s.decoded;
      }
      double left, top, right, bottom;
      draws.box(whole.width, whole.height, left, top, right, bottom);
      // The part is cut on whole pixels around the box; channels, alpha and fill follow the preprocessing.
      const int x = int(left), y = int(top);
      const int w = std::min(int(right + 0.999), whole.width) - x, h = std::min(int(bottom + 0.999), whole.height) - y;
      Preprocessing stretched = pre;
      stretched.resize = ResizeRule::stretch;
      s.fitted = stretched.fit(crop(whole, x, y, std::max(w, 1), std::max(h, 1)));
      return s.fitted;
    } catch (const Error& e) {
      if (!e.where().empty()) throw;
      throw e.at(data.file(sample));
    }
  }

  void write(const ImageView& v, float* out) const { normalizer.to_float(v, out); }
  void write(const ImageView& v, uint8_t* out) const { normalizer.to_bytes(v, out); }
  void write_grey_row(const uint8_t* row, float* out) const {
    const float* table = normalizer.table(0).data();
    for (int64_t x = 0; x < pre.width; ++x) out[x] = table[row[x]];
  }
  void write_grey_row(const uint8_t* row, uint8_t* out) const { std::memcpy(out, row, size_t(pre.width)); }

  template <class T>
  void make_picture(uint32_t sample, int64_t epoch, T* out, Scratch& s) {
    const SampleDraws draws(aug, uint64_t(start.seed), epoch, sample);
    const ImageView v = fitted_picture(sample, draws, s);
    const Placement p = draws.placement();
    const bool moved = p.flip_x || p.flip_y || p.dx != 0 || p.dy != 0;
    if (aug.repaints()) {
      place(v, p, fill, s.placed);
      draws.repaint(s.placed, s.spare);
      write(s.placed, out);
    } else if (!moved) {
      write(v, out);
    } else if (v.channels == 1) {
      for (int y = 0; y < v.height; ++y, out += v.width) {
        placed_row(v, p, y, fill, s.row.data());
        write_grey_row(s.row.data(), out);
      }
    } else {
      place(v, p, fill, s.placed);
      write(s.placed, out);
    }
  }
};

Loader::Loader(const Dataset& data, std::vector<uint32_t> samples, const Preprocessing& preprocessing,
               const Augmentation& augmentation, const LoaderOptions& options)
    : impl_(std::make_unique<Impl>(data, std::move(samples), preprocessing, augmentation, options)) {}

Loader::~Loader() {
  impl_->stop_threads();
}

const Batch* Loader::next() {
  Impl& m = *impl_;
  std::unique_lock lock(m.mutex);
  m.start_threads();
  if (m.released < m.delivered) {
    // The batch given before goes back to the workers, unless it failed: then it fails again.
    m.released = m.delivered;
    m.work.notify_all();
  }
  if (m.beyond_end(m.delivered)) return nullptr;
  Slot& slot = m.slots[size_t(m.delivered) % m.slots.size()];
  if (slot.ready == m.delivered) {
    ++m.ready_at_once;
  } else {
    const auto begin = std::chrono::steady_clock::now();
    m.done.wait(lock, [&] { return slot.ready == m.delivered; });
    m.waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  if (slot.error) std::rethrow_exception(slot.error);
  ++m.delivered;
  return &slot.batch;
}

LoaderState Loader::state() const {
  const std::lock_guard lock(impl_->mutex);
  const auto [epoch, step] = impl_->place_of(impl_->delivered);
  return {epoch, step * impl_->options.batch, impl_->start.seed};
}

void Loader::restore(const LoaderState& s) {
  Impl& m = *impl_;
  if (s.epoch < 0 || s.position < 0 || s.position % m.options.batch != 0 ||
      s.position / m.options.batch >= m.per_epoch()) {
    wrong("the state to continue from does not fit this batch size and number of samples");
  }
  m.stop_threads();
  m.start = s;
  m.claimed = m.delivered = m.released = 0;
  m.orders.clear();
  for (Slot& slot : m.slots) {
    slot.ready = -1;
    slot.error = nullptr;
  }
}

void Loader::rewind() {
  restore({0, 0, int64_t(impl_->options.seed)});
}

int64_t Loader::batches_per_epoch() const {
  return impl_->per_epoch();
}
double Loader::waited_seconds() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->waited;
}
int64_t Loader::ready_batches() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->ready_at_once;
}

Tensor soft_targets(const Batch& batch, int64_t classes, double smoothing) {
  if (classes < 1 || !(smoothing >= 0 && smoothing < 1)) wrong("label smoothing must lie in [0, 1)");
  const int64_t n = batch.size();
  Tensor t(ElementType::f32, {n, classes});
  auto* out = t.data<float>();
  const auto* labels = batch.labels.data<int64_t>();
  for (int64_t i = 0; i < n; ++i, out += classes) {
    std::fill(out, out + classes, float(smoothing / double(classes)));
    const double weight = batch.weights ? double(batch.weights.data<float>()[i]) : 1.0;
    out[labels[i]] += float((1 - smoothing) * weight);
    if (batch.weights) out[batch.other_labels.data<int64_t>()[i]] += float((1 - smoothing) * (1 - weight));
  }
  return t;
}

}  // namespace hone::data
