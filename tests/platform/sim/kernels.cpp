// The module of this test program: kernels that the tests run on simulated chips.

#include <atomic>
#include <stdexcept>

#include "latches.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/module.hpp"

using troupe::runtime::Compare;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(add)(KernelArgs& k) {
  auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.extent(0); ++i) {
    if (c.dims() == 1) {
      c(i) = a(i) + b(i);
    } else {
      for (std::size_t j = 0; j < c.extent(1); ++j) c(i, j) = a(i, j) + b(i, j);
    }
  }
}

TROUPE_KERNEL(add_scalar)(KernelArgs& k) {
  auto a = k.tensor<const float>(0);
  auto b = k.tensor<float>(1);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = a[i] + k.scalar<float>(0);
}

TROUPE_KERNEL(mul)(KernelArgs& k) {
  auto a = k.tensor<const float>(0), b = k.tensor<const float>(1);
  auto c = k.tensor<float>(2);
  for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] * b[i];
}

TROUPE_KERNEL(increment)(KernelArgs& k) {
  auto x = k.tensor<float>(0);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += 1;
}

TROUPE_KERNEL(first_only)(KernelArgs& k) { k.tensor<float>(0)[0] = 1; }

TROUPE_KERNEL(throws)(KernelArgs&) { throw std::runtime_error("the tile is too large"); }

TROUPE_KERNEL(nothing)(KernelArgs&) {}

TROUPE_KERNEL(count_blocks)(KernelArgs& k) {
  auto seen = k.tensor<std::int32_t>(0);
  std::atomic_ref<std::int32_t>(seen[static_cast<std::size_t>(k.block_idx())])
      .fetch_add(1 + k.sub_block_id());
  if (k.block_num() != static_cast<int>(seen.size())) seen[0] = -1;
}

TROUPE_KERNEL(count_one)(KernelArgs& k) {
  std::atomic_ref<std::int32_t>(k.tensor<std::int32_t>(0)[0]).fetch_add(1);
}

TROUPE_KERNEL(raise)(KernelArgs& k) { k.notify(k.tensor<std::int32_t>(0)[0], std::int32_t{1}); }

// Counts itself, and stays until all members of its set have come.
TROUPE_KERNEL(meet)(KernelArgs& k) {
  std::atomic_ref<std::int32_t>(k.tensor<std::int32_t>(0)[0]).fetch_add(1 + 100 * k.sub_block_id());
  auto& word = k.tensor<std::int32_t>(1)[0];
  k.notify_add(word, std::int32_t{1});
  k.wait_until(word, Compare::greater_equal, k.scalar<std::int32_t>(0));
}

// Waits for its turn, raises the next rank's token; the first word of each window is its token.
TROUPE_KERNEL(pass_token)(KernelArgs& k) {
  const auto& domain = *k.scalar<const troupe::runtime::CommContext*>(0);
  auto* mine = reinterpret_cast<std::int32_t*>(domain.windows_in[domain.rank]);
  auto* next = domain.on_peer(mine, (domain.rank + 1) % domain.rank_count);
  for (std::int32_t round = 1; round <= k.scalar<std::int32_t>(1); ++round) {
    const std::int32_t wanted = domain.rank == 0 ? round - 1 : round;
    if (k.wait_until(*mine, Compare::greater_equal, wanted) != troupe::runtime::WaitStatus::ready) return;
    k.notify(*next, round);
  }
  if (domain.rank == 0) k.wait_until(*mine, Compare::greater_equal, k.scalar<std::int32_t>(1));
}

// Adds this chip's buffer and the one at the same place of the other chip's window, into a third.
TROUPE_KERNEL(add_peer)(KernelArgs& k) {
  const auto& domain = *k.scalar<const troupe::runtime::CommContext*>(0);
  const auto* mine = k.scalar<const std::int32_t*>(1);
  const auto* theirs = domain.on_peer(mine, 1 - domain.rank);
  auto* sum = k.scalar<std::int32_t*>(2);
  for (std::uint64_t i = 0; i < k.scalar<std::uint64_t>(3); ++i) sum[i] = mine[i] + theirs[i];
}

// Waits for the flag only when told to: nobody can know before.
TROUPE_KERNEL(maybe_wait)(KernelArgs& k) {
  if (k.scalar<std::int32_t>(0) == 0) return;
  k.wait_until(k.tensor<std::int32_t>(0)[0], Compare::equal, std::int32_t{1});
}

// Whether the first tensor was made for the task of that number.
TROUPE_KERNEL(compare_owner)(KernelArgs& k) {
  k.tensor<std::int32_t>(1)[0] = k.descriptor(0).owner_task == k.scalar<std::uint64_t>(0) ? 1 : 2;
}

// Waits for a flag that nobody raises.
TROUPE_KERNEL(wait_forever)(KernelArgs& k) {
  k.wait_until(k.tensor<std::int32_t>(0)[0], Compare::equal, std::int32_t{1});
}

// Sits inside until the test lets it go; ignores every abort.
TROUPE_KERNEL(stuck)(KernelArgs& k) {
  auto* latches = k.scalar<troupe::test::Latches*>(0);
  latches->entered.open();
  latches->leave.wait();
  latches->left.open();  // the last touch: the test may end now
}
// The same, and then it writes to its tensor after all.
TROUPE_KERNEL(stuck_writer)(KernelArgs& k) {
  auto* latches = k.scalar<troupe::test::Latches*>(0);
  latches->entered.open();
  latches->leave.wait();
  k.tensor<float>(0)[0] = 7;
  latches->left.open();
}

// Its last block doubles what it was only to read.
TROUPE_KERNEL(oversteps)(KernelArgs& k) {
  if (k.block_idx() != k.block_num() - 1) return;
  auto x = k.tensor<float>(0);
  k.tensor<float>(1)[0] = x[0];
  x(0) *= 2;
}
TROUPE_MODULE("sim_tests");
