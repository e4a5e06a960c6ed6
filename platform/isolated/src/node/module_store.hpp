#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/digest.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

/// A module's file in memory. Once it is sealed nobody can change it, so what was hashed is what is loaded.
class ModuleImage {
 public:
  /// An error: no memory.
  static Result<ModuleImage> make(const std::string& name);
  Result<void> append(std::span<const std::byte> bytes);
  std::uint64_t bytes() const { return bytes_; }
  /// Seals it, then hashes it.
  Result<runtime::Digest> seal();
  /// A path, for processes of this user while this one lives.
  std::string path() const;

 private:
  comm::FileDescriptor memory_;
  std::uint64_t bytes_ = 0;
};

/// The modules that a node has, by what is in them. Thread-safe.
class ModuleStore {
 public:
  static constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30U;

  /// From a file, as it is now.
  Result<void> read(const std::string& file);
  void add(const runtime::Digest& digest, ModuleImage image);
  std::optional<std::string> path_of(const runtime::Digest& digest) const;

 private:
  mutable std::mutex mutex_;
  std::map<runtime::Digest, ModuleImage> images_;
};

/// 64 digits as a digest.
std::optional<runtime::Digest> digest_from(std::string_view digits);

}  // namespace troupe::platform::isolation
