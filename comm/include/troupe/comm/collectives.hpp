#pragma once

// Collective operations for host code: all_reduce, all_gather, reduce_scatter, broadcast, all_to_all,
// barrier. A Collectives object borrows its domain member, which must be committed and outlive it, and the
// callers' arrays during each call. One thread at a time. Every rank makes the same calls in the same order;
// each call blocks.
// Errors are Results; the class says which, and when reset() is due. A death ends every wait at once.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "troupe/comm/domain.hpp"
#include "troupe/runtime/dtype.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/saturated.hpp"

namespace troupe::comm {

enum class ReduceOp : std::uint8_t { sum = 0, min = 1, max = 2 };

/// How an all_reduce is done. All give the same answer up to rounding; for one algorithm and rank count the
/// answer is always the same, bit by bit, on every rank.
/// - one_phase: every rank reads everything. One wait; for small arrays.
/// - two_phase: every rank reduces a part and hands it out. Two waits, each byte moved once.
/// - ring, bidirectional_ring: 2(n-1) steps between neighbours, for machines on which only neighbours are
///   near. On shared memory two_phase moves less, so `automatic` never takes them.
///
/// one_phase and two_phase reduce in rank order (((r0 op r1) op r2) …) with halves summed in f32 and rounded
/// once; rings start part p at rank p and round at every step.
enum class AllReduceAlgorithm : std::uint8_t {
  automatic = 0,
  one_phase = 1,
  two_phase = 2,
  ring = 3,
  bidirectional_ring = 4
};

[[nodiscard]] TROUPE_API std::string_view name_of(AllReduceAlgorithm algorithm) noexcept;

/// Bytes of the windows that the collectives use to keep step: the same place in every rank's window, 64-byte
/// aligned, zeroed before the first use, used for nothing else. The first 4096 are signals; the rest is
/// scratch, which is needed for arrays outside the windows and for one_phase. `Collectives` and the device
/// kernels may take turns on one workspace.
struct CollectiveWorkspace {
  static constexpr std::uint64_t signals = 4096;
  static constexpr std::uint64_t comfortable = signals + (std::uint64_t{1} << 20);

  std::uint64_t offset = 0;
  std::uint64_t bytes = comfortable;
};

struct CollectiveOptions {
  /// How long a call waits for a rank that is alive but does not come. A death never takes that long.
  runtime::Milliseconds timeout = std::chrono::seconds(120);
};

/// Which elements of `count` belong to `rank`: near-equal contiguous parts, the first `count % ranks` one
/// longer. This is a rank's part in all_gather and reduce_scatter.
struct CollectivePart {
  std::size_t first = 0, count = 0;
};
[[nodiscard]] TROUPE_API CollectivePart part_of(std::size_t count, std::uint32_t ranks,
                                                std::uint32_t rank) noexcept;

/// One rank's side of the collectives over a committed domain, for host code. Every rank makes the same calls
/// in the same order; each blocks until this rank's part is complete and its arrays may be used again.
///
/// Arrays: when all arrays of a call lie in this rank's own window they are used where they are, and must
/// then lie at the same offsets on every rank. Anything else is staged through the scratch (one copy in, one
/// copy out, chunk by chunk, so arrays may be larger than any window); whether a call is staged must be the
/// same on every rank. `in` and `out` may be the same array where noted, otherwise they must not overlap.
///
/// Types: f32, f16, bf16, i32 for reductions; any for the rest. Integers wrap. With a NaN, min and max give
/// the later operand.
///
/// Errors of every call: bad_argument, unsupported, out_of_bounds (before anything happens); peer_lost and
/// aborted (the domain ended); mismatch (ranks made different calls), deadline (names the rank), or the
/// reason another rank left with. After one of the latter three the ranks are out of step: calls fail with
/// wrong_state until every rank has called `reset`. The arrays then hold unspecified bytes.
///
/// One thread at a time. The domain member must outlive it.
class TROUPE_API Collectives {
 public:
  /// Errors: wrong_state (not committed), out_of_bounds, misaligned, too_large.
  static Result<Collectives> over(DomainMember& member, CollectiveWorkspace workspace,
                                  CollectiveOptions options);
  /// The same with the timeout of CommOptions::from_environment(). Errors: bad_config, too.
  static Result<Collectives> over(DomainMember& member, CollectiveWorkspace workspace);

  Collectives(Collectives&&) noexcept;
  Collectives& operator=(Collectives&&) noexcept;
  ~Collectives();

  std::uint32_t rank() const noexcept;
  std::uint32_t ranks() const noexcept;

  /// out[i] = op over all ranks of in[i]; `in` may be `out`.
  Result<void> all_reduce(const void* in, void* out, std::size_t count, runtime::DType dtype,
                          ReduceOp op = ReduceOp::sum,
                          AllReduceAlgorithm algorithm = AllReduceAlgorithm::automatic);
  /// `in`: this rank's part of `count` elements; `out`: all `count`. In place: `in` is its part of `out`.
  Result<void> all_gather(const void* in, void* out, std::size_t count, runtime::DType dtype);
  /// `in`: `count` elements; `out`: this rank's part of the reduction. In place: `out` is its part of `in`.
  Result<void> reduce_scatter(const void* in, void* out, std::size_t count, runtime::DType dtype,
                              ReduceOp op = ReduceOp::sum);
  /// `data` of `root` to every rank.
  Result<void> broadcast(void* data, std::size_t count, runtime::DType dtype, std::uint32_t root);
  /// Block p of `in` goes to block rank() of `out` on rank p; blocks have `count` elements.
  Result<void> all_to_all(const void* in, void* out, std::size_t count, runtime::DType dtype);
  /// No rank returns before every rank has called.
  Result<void> barrier();

  template <runtime::Element T>
  Result<void> all_reduce(std::span<T> data, ReduceOp op = ReduceOp::sum,
                          AllReduceAlgorithm algorithm = AllReduceAlgorithm::automatic) {
    return all_reduce(data.data(), data.data(), data.size(), runtime::dtype_of<T>, op, algorithm);
  }
  template <runtime::Element T>
  Result<void> broadcast(std::span<T> data, std::uint32_t root) {
    return broadcast(data.data(), data.size(), runtime::dtype_of<T>, root);
  }

  /// The algorithm that `automatic` takes for an array of `bytes` bytes.
  AllReduceAlgorithm choose(std::size_t bytes, bool staged) const noexcept;

  /// Collective: back in step after a failure that did not end the domain. Errors: the domain's barrier's.
  Result<void> reset();

 private:
  struct Impl;
  explicit Collectives(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace troupe::comm
