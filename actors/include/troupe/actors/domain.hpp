#pragma once

// Communication domains as programs hold them. A Domain shares its lease: the domain is released when the
// last copy has gone or the run has ended, and no task uses it any more. A DomainRank borrows its Domain.
// Threads: the program's own; a copy may go on another one, which releases the domain when its program next
// submits or waits.
// Errors are thrown: bad_argument for a rank or buffer that the domain does not have; waits end with
// peer_lost when a chip of the domain dies, and with wrong_program after the program has returned.

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/actors/arguments.hpp"
#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/waiting.hpp"

namespace troupe::actors {

/// One rank of a domain, as a program names it in arguments.
class TROUPE_API DomainRank {
 public:
  DomainRank(const DomainInfo& info, std::size_t index) : info_(&info), index_(index) {}

  int index() const noexcept { return static_cast<int>(index_); }
  int chip() const noexcept { return info_->ranks[index_].chip; }
  int ranks() const noexcept { return static_cast<int>(info_->ranks.size()); }
  /// A named buffer in this rank's window, as a device-resident tensor. Throws for an unknown name.
  template <runtime::Element T = float>
  Tensor buffer(std::string_view name) const {
    return bytes(name, runtime::dtype_of<T>);
  }
  /// The address of a buffer as a scalar word, for kernels that take addresses.
  runtime::ScalarArg address_of(std::string_view name) const;
  /// The domain itself, as an argument.
  DomainContext context() const;

 private:
  Tensor bytes(std::string_view name, runtime::DType dtype) const;
  const DomainInfo* info_;
  std::size_t index_;
};

/// A communication domain that has been formed. When the last copy goes (or its run ends) it is released,
/// once no task names it any more.
class TROUPE_API Domain {
 public:
  Domain() = default;
  /// A domain that another owner releases.
  explicit Domain(std::shared_ptr<const DomainInfo> info) : info_(std::move(info)) {}
  Domain(ProgramLife program, std::shared_ptr<const DomainInfo> info);

  int size() const noexcept { return info_ ? static_cast<int>(info_->ranks.size()) : 0; }
  /// Throws `bad_argument` when it has no such rank.
  DomainRank rank(int index) const {
    if (index < 0 || index >= size()) refuse_rank(index);
    return {*info_, static_cast<std::size_t>(index)};
  }
  const DomainInfo& info() const noexcept { return *info_; }

  /// The members of a group with one member per rank, each on its rank's chip:
  /// `domain.each([](auto& rank) { return args(inout(rank.buffer("scratch")), rank.context()); })`.
  template <class F>
  std::vector<Args> each(F make) const {
    std::vector<Args> members;
    for (int i = 0; i < size(); ++i) {
      auto it = rank(i);
      members.push_back(make(it));
      members.back().home = it.chip();
    }
    return members;
  }

 private:
  [[noreturn]] void refuse_rank(int index) const;
  std::shared_ptr<const DomainInfo> info_;
  std::shared_ptr<void> lease_;
};

/// `node.barrier(domain, rank)`: waits until every rank of the domain has come to its barrier. Throws
/// `peer_lost` when one never will.
class TROUPE_API DomainBarrier : public Waiter {
 public:
  DomainBarrier(ProgramLife program, Domain of, int rank, CodeLine at)
      : Waiter(std::move(program), at), domain_(std::move(of)), rank_(rank) {}
  using Waiter::await_ready;
  void await_suspend(std::coroutine_handle<> self);
  void await_resume() const { rethrow(); }
  void wait();

 private:
  void enter();
  Domain domain_;
  int rank_;
};

/// `node.allocate_domain(spec)`: all windows or none.
class TROUPE_API DomainRequest : public Waiter {
 public:
  DomainRequest(ProgramLife program, DomainSpec spec) : Waiter(std::move(program)), spec_(std::move(spec)) {}
  using Waiter::await_ready;
  void await_suspend(std::coroutine_handle<> self);
  Domain await_resume();
  Domain get();

 private:
  DomainSpec spec_;
};

}  // namespace troupe::actors
