// Reads a checkpoint of the tensor-bundle format (TensorFlow's V2): PREFIX.index, a sorted-string table of entries, and
// data shards PREFIX.data-00000-of-00001, which stay memory-mapped.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "hone/tensor.hpp"

namespace hone::tensorflow {

/// Entries of a sorted-string table (LevelDB's table format, blocks stored plain or packed with Snappy) in order of
/// their keys. Throws `Error` (unreadable) on malformed bytes.
std::vector<std::pair<std::string, std::string>> read_table(std::string_view bytes);
/// Unpacks one Snappy block. Throws `Error` (unreadable).
std::string unpack_snappy(std::string_view bytes);

class Checkpoint {
 public:
  /// Throws `Error`: unreadable, unsupported (big-endian files, the V1 format).
  static std::shared_ptr<const Checkpoint> open(const std::string& prefix);

  bool has(const std::string& key) const { return entries_.contains(key); }
  /// The tensor of a key; mapped where its bytes are aligned. Throws `Error`.
  Tensor tensor(const std::string& key) const;
  /// Full name of each variable of an object-based checkpoint, and the key that it is stored under.
  const std::map<std::string, std::string>& key_of_name() const { return key_of_name_; }
  std::vector<std::string> keys() const;

 private:
  struct Entry {
    int64_t type = 0;
    Shape shape;
    int64_t shard = 0, offset = 0, size = 0;
    bool sliced = false;
    std::vector<std::vector<std::pair<int64_t, int64_t>>> slices;  ///< start and length of each axis; -1: all of it
  };
  Tensor plain(const std::string& key, const Entry& e) const;
  Tensor joined(const std::string& key, const Entry& e) const;
  void read_object_graph();

  std::string prefix_;
  int64_t shards_ = 1;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> key_of_name_;
  mutable std::map<int64_t, std::shared_ptr<const void>> files_;
};

}  // namespace hone::tensorflow
