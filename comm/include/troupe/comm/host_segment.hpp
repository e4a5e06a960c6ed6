#pragma once

// Shared memory under a name that a user chose. An owner's object owns mapping and name, a guest's the
// mapping. One user at a time, except read() and write(), which any thread may call; what the bytes mean, and
// who may write them when, is between the processes that share them.
// Errors are Results that name the segment.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {

/// The form in which the comm floor uses a shared-memory name: one leading slash, no other, 2 to 255
/// characters. A missing leading slash is added. Errors: bad_argument.
TROUPE_API Result<std::string> shared_memory_name(std::string_view name);

/// POSIX shared memory under a name that the user chose: the only named thing this floor makes.
///
/// An owner creates it exclusively, and complete: it appears under its name with its size, its memory
/// reserved and its owner's lock, or not at all. The owner holds a lock that ends with its process, so a name
/// whose owner died is recognised (a record behind the user's bytes names its maker) and taken over; names of
/// live owners, of other users and of other programs never are. The user's bytes start at offset 0, so any
/// program can open the name in the usual way.
///
/// A guest attaches to a segment of its own user, of this library or of any other program, that is at least
/// as large as asked. Guests never remove a name.
class TROUPE_API HostSegment {
 public:
  HostSegment() = default;
  HostSegment(HostSegment&& other) noexcept;
  HostSegment& operator=(HostSegment&& other) noexcept;
  ~HostSegment();  ///< unmaps; the owner also removes the name

  /// Errors: bad_argument (name), name_taken, no_memory, too_large, system.
  static Result<HostSegment> create(std::string_view name, std::uint64_t bytes);
  /// Errors: bad_argument, not_found, foreign_peer, out_of_bounds (smaller than `bytes`), system.
  static Result<HostSegment> attach(std::string_view name, std::uint64_t bytes);
  /// Removes `name` when its owner is dead; true when the name is free afterwards. Errors: as create.
  static Result<bool> remove_leftover(std::string_view name);

  bool valid() const noexcept { return descriptor_.valid(); }
  bool owner() const noexcept { return owner_; }
  const std::string& name() const noexcept { return name_; }
  std::uint64_t size() const noexcept { return bytes_; }
  /// A number that no other segment of this library has; 0 for a segment of another program.
  std::uint64_t nonce() const noexcept { return nonce_; }

  /// The mapped bytes. A guest may touch them only as long as no process shrinks the file; `read` and `write`
  /// are safe even then.
  std::span<std::byte> bytes() const noexcept { return {static_cast<std::byte*>(mapping_), bytes_}; }
  /// Copies without touching the mapping: a file that has shrunk is an error (out_of_bounds), not a SIGBUS.
  Result<void> read(std::uint64_t offset, std::span<std::byte> to) const;
  Result<void> write(std::uint64_t offset, std::span<const std::byte> from) const;

  /// Does at once what the destructor would do. Idempotent.
  void close() noexcept;

 private:
  Result<void> map();

  std::string name_;
  FileDescriptor descriptor_;
  void* mapping_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::uint64_t nonce_ = 0;
  bool owner_ = false;
};

}  // namespace troupe::comm
