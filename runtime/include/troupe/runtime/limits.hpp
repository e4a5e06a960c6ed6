#pragma once

// Every number that the ABI or the reference fixes, by name. What a user can set is a default here and says
// so. Constants only.

#include <cstddef>
#include <cstdint>

namespace troupe::runtime::limits {

// Tensors and arguments.
inline constexpr std::size_t max_dims = 5;         ///< dimensions of a tensor
inline constexpr std::size_t core_tensors = 32;    ///< tensors of one kernel call
inline constexpr std::size_t core_scalars = 16;    ///< scalars of one kernel call
inline constexpr std::size_t chip_tensors = 256;   ///< tensors of one chip (or host, or program) task
inline constexpr std::size_t chip_scalars = 128;   ///< scalars of one chip (or host, or program) task
inline constexpr std::size_t callable_name = 255;  ///< bytes in a callable's name
inline constexpr std::size_t signature = 4096;     ///< bytes in a callable's signature

// The kernel ABI.
inline constexpr std::size_t kernel_words = 50;          ///< 64-bit words handed to a kernel
inline constexpr std::size_t local_context_word = 48;    ///< word that points to the LocalContext
inline constexpr std::size_t global_context_word = 49;   ///< word that points to the GlobalContext
inline constexpr std::size_t descriptor_alignment = 64;  ///< alignment of a tensor descriptor
inline constexpr std::size_t deferred_completions = 64;  ///< that one kernel call can wait for
inline constexpr std::size_t deferred_tasks = 64;        ///< that wait for such on one chip

// Communication.
inline constexpr std::size_t ranks = 64;  ///< members of one communication domain

// The task graph on a chip. All but the depths are defaults that a configuration may change.
inline constexpr std::size_t scope_depth = 64;               ///< nested scopes
inline constexpr std::size_t arenas = 4;                     ///< one per scope depth, the last for all deeper
inline constexpr std::size_t block_alignment = 1024;         ///< of every block in an arena
inline constexpr std::uint64_t arena_bytes = 256ULL << 20U;  ///< default size of one arena
inline constexpr std::uint64_t min_arena_bytes = 1024;       ///< smallest size an arena may be given
inline constexpr std::size_t task_window = 16384;            ///< default number of live tasks per arena
inline constexpr std::size_t min_task_window = 4;            ///< smallest window
inline constexpr std::size_t dependency_pool = 16384;        ///< default number of live edges per arena
inline constexpr std::size_t min_dependency_pool = 4;        ///< smallest pool

static_assert(core_tensors + core_scalars == local_context_word,
              "arguments fill the words before the contexts");

}  // namespace troupe::runtime::limits
