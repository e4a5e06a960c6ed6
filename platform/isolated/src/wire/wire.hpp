#pragma once

// Border of the room: what both ends of a chip's process know of each other.

#include "wire/away.hpp"
#include "wire/bulk.hpp"
#include "wire/bytes.hpp"
#include "wire/frame.hpp"
#include "wire/link.hpp"
#include "wire/news.hpp"
#include "wire/page.hpp"
#include "wire/runs.hpp"
#include "wire/stream.hpp"

namespace troupe::platform::isolation {

/// The descriptor that a chip's process is started with.
inline constexpr int socket_of_chip = 3;

/// What the process says first. Of another build: it is not asked anything.
struct Hello {
  std::uint32_t protocol = 1;
  std::uint32_t abi_version = TROUPE_DEVICE_ABI_VERSION;
  char build[24] = {};
};
Hello this_build() noexcept;
/// Whether the other end is of another version of troupe.
template <class Said>
bool is_another_build(const Said& said) noexcept {
  const auto ours = this_build();
  return said.protocol != ours.protocol || said.abi_version != ours.abi_version ||
         std::memcmp(said.build, ours.build, sizeof ours.build) != 0;
}

/// What the process is told first, with the page, then the staging memory, as descriptors. From another
/// machine there are none: the node knows the library, and adds memory of its own.
struct SetUp {
  std::uint32_t wants_trace = 0, wants_dump = 0;
  std::uint64_t page_bytes = 0, staging_bytes = 0;
  // then the texts: the library's path, and whose chip it is
};

/// Pieces of memory have numbers; this one is there from the beginning.
inline constexpr std::uint32_t staging_piece = 1;

/// Behind a call to copy: where.
struct CopyCall {
  std::uint64_t device = 0, offset = 0, bytes = 0;
  std::uint32_t piece = 0, reserved = 0;
};
/// Before a callable's name, file, module, signature and bytes.
struct CallableNews {
  std::uint64_t byte_count = 0;
  std::uint32_t core_kind = 0, signature_count = 0;
  std::uint32_t has_name = 0, has_bytes = 0, has_module = 0, reserved = 0;
};
struct ShareNews {
  std::uint64_t bytes = 0;
  std::uint32_t piece = 0, reserved = 0;
};

}  // namespace troupe::platform::isolation
