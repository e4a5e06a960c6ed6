#pragma once

// Arguments and configurations as bytes, for shared memory, sockets and files. Pure functions, safe on any
// thread; a decoded view borrows the caller's bytes, a decoded TaskArgs owns a copy. Decoders may be fed
// anything.
// Errors, as Results: wire_truncated, wire_version, wire_malformed, misaligned, too_many_tensors,
// too_many_scalars, or what is wrong with a tensor. encode() wants arguments that passed validate().

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "troupe/runtime/call_config.hpp"
#include "troupe/runtime/task_args.hpp"

/// The forms, little-endian and versioned; every length is checked before it is used:
///
///   TaskArgs    WireHeader · Tensor[tensors] (80 bytes each) · u64[scalars] · u8 tag[tensors] · zeros to 8
///   CallConfig  u32 magic · u16 version · u16 zero · CallConfig (12 bytes) · u32 zero
namespace troupe::runtime::wire {

inline constexpr std::uint32_t args_magic = 0x41505254;    // "TRPA"
inline constexpr std::uint32_t config_magic = 0x43505254;  // "TRPC"
inline constexpr std::uint16_t version = 1;
inline constexpr std::size_t alignment = 8;
inline constexpr std::size_t config_bytes = 24;

struct WireHeader {
  std::uint32_t magic = args_magic;
  std::uint16_t version = wire::version;
  std::uint16_t reserved = 0;
  std::uint32_t tensors = 0;
  std::uint32_t scalars = 0;
  std::uint64_t total_bytes = 0;  ///< of the whole message, this header included
};
static_assert(sizeof(WireHeader) == 24);

/// Bytes that `encode` will write.
[[nodiscard]] TROUPE_API std::size_t encoded_size(const TaskArgsView& view) noexcept;
/// Writes into `bytes` and returns how many were written; `wire_truncated` when they do not fit. The view is
/// taken as valid (see `validate`).
[[nodiscard]] TROUPE_API Result<std::size_t> encode(const TaskArgsView& view, std::span<std::byte> bytes);
[[nodiscard]] TROUPE_API std::vector<std::byte> encode(const TaskArgsView& view);

/// A view straight into `bytes`, which must be 8-aligned (`misaligned` otherwise) and outlive it. Bytes past
/// the message are left alone: `encoded_size(view)` tells how many were used. Every tensor and tag has been
/// checked when this returns a view; a writer that changes the bytes afterwards is not guarded against.
[[nodiscard]] TROUPE_API Result<TaskArgsView> decode_view(std::span<const std::byte> bytes,
                                                          const ArgLimits& limits = chip_task_limits);
/// A copy; works at any alignment.
[[nodiscard]] TROUPE_API Result<TaskArgs> decode(std::span<const std::byte> bytes,
                                                 const ArgLimits& limits = chip_task_limits);

[[nodiscard]] TROUPE_API std::vector<std::byte> encode(const CallConfig& config);
[[nodiscard]] TROUPE_API Result<CallConfig> decode_config(std::span<const std::byte> bytes);

}  // namespace troupe::runtime::wire
