#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/digest.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

/// A module's file in memory. From the beginning on nobody else can write it, and once it is sealed nobody at
/// all, so what was hashed while it came is what is loaded.
class ModuleImage {
 public:
  /// Of so many bytes. An error: no memory, or more than a module may have.
  static Result<ModuleImage> make(const std::string& name, std::uint64_t size);
  /// Hashes them. An error: no memory, or more than it is to have.
  Result<void> append(std::span<const std::byte> bytes);
  std::uint64_t bytes() const { return bytes_; }  ///< that have come
  bool is_whole() const { return bytes_ == size_; }
  /// Once it is whole: seals it, and says what is in it. That looks at nothing again.
  Result<runtime::Digest> seal();
  /// Once sealed: why it cannot be a module ("it is no ELF file"); empty: it may be one.
  std::string defect() const;
  /// A path, for processes of this user while this one lives.
  std::string path() const;

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::byte* memory) const noexcept;
  };
  using Mapping = std::unique_ptr<std::byte, Unmap>;

  comm::FileDescriptor memory_;
  Mapping writing_;  ///< until it is sealed
  std::uint64_t size_ = 0, bytes_ = 0;
  runtime::Hasher hasher_;
};

struct GiveBackBytes {
  std::uint64_t bytes = 0;
  void operator()(std::atomic<std::uint64_t>* used) const noexcept { used->fetch_sub(bytes); }
};

/// The modules that a node has, by what is in them: its own, and what the program that holds it has sent.
/// Thread-safe.
class ModuleStore {
 public:
  static constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30U;
  /// Of what a program has sent, or is sending.
  static constexpr std::uint64_t most_shipped = std::uint64_t{4} << 30U;

  /// A part of what may be sent, until its end.
  using Room = std::unique_ptr<std::atomic<std::uint64_t>, GiveBackBytes>;

  /// From a file, as it is now.
  Result<void> read(const std::string& file);
  /// None: there is not so much left.
  std::optional<Room> room_for(std::uint64_t bytes);
  void ship(const runtime::Digest& digest, ModuleImage image, Room room);
  /// The program has gone, and so has what it sent.
  void forget_shipped();
  std::optional<std::string> path_of(const runtime::Digest& digest) const;

 private:
  struct Kept {
    ModuleImage image;
    Room room;  ///< null: it is the node's own
  };
  mutable std::mutex mutex_;
  std::atomic<std::uint64_t> shipped_{0};
  std::map<runtime::Digest, Kept> images_;
};

/// 64 digits as a digest.
std::optional<runtime::Digest> digest_from(std::string_view digits);

}  // namespace troupe::platform::isolation
