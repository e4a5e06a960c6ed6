#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "domain/domain.hpp"
#include "program/program.hpp"
#include "troupe/actors/protocol.hpp"
#include "worker/bootstrap_plan.hpp"
#include "worker/children.hpp"

namespace troupe::actors {

/// How the chips of a worker come up with what its configuration gives them: which of a group are there,
/// which communicator they form, what is staged into their buffers. What a chip was given is shown to
/// programs as soon as it is all there, and not when it is gone. Plain state.
class TROUPE_API ConfiguredBringUp {
 public:
  enum class Step : std::uint8_t {
    up,     ///< the chip has all that its configuration wants
    waits,  ///< for others of its group
    form,   ///< its group is complete: its communicator is to be formed
  };
  /// The communicator of a group, to be formed.
  struct Forming {
    DomainInfo layout;
    std::uint64_t window_bytes = 0;
    std::vector<DomainMember> members;
  };
  /// A copy between a chip's buffer and its shared memory.
  struct Staging {
    std::int32_t chip = -1;
    std::string buffer;
    std::optional<StageBuffer> order;  ///< nullopt: the buffer died with its chip
  };

  /// `node`: the number of the worker's node; `shown`: where programs see what chips were given.
  ConfiguredBringUp(std::uint32_t node, ConfiguredChips& shown) : node_(node), shown_(shown) {}

  /// Checks all of the configuration before any chip is touched.
  std::optional<BootstrapPlan::Refusal> plan(const std::vector<comm::ChipBootstrapConfig>& configs,
                                             const Children& children);

  /// The chip's device is there.
  Step device_ready(std::int32_t chip);
  /// Of a chip that has one.
  std::size_t group_of(std::int32_t chip) const;
  const std::vector<std::int32_t>& chips(std::size_t group) const { return plan_.groups()[group].chips; }

  /// What to form; that it is being formed is said by `forms`.
  Forming forming(std::size_t group, const Children& children) const;
  void forms(std::size_t group, std::uint64_t domain) { groups_[group].domain = domain; }
  /// Whether that is the group's communicator still: a member may have died meanwhile, and its successor
  /// brings the next one up.
  bool has(std::size_t group, std::uint64_t domain) const { return groups_[group].domain == domain; }
  void not_formed(std::size_t group) { groups_[group].domain = 0; }
  /// What to load into its buffers. One load more is owed than these, so that the group is not complete
  /// before all have been asked for.
  std::vector<Staging> formed(std::size_t group, DomainInfo info, const Children& children);
  /// A load has ended well: whether it was the last, and all chips of the group have what they want.
  Result<bool> loaded(std::size_t group, const Children& children);
  /// The group's communicator is over; returns it, 0: it had none.
  std::uint64_t forget(std::size_t group);
  /// A member is gone, and what it was given: as `forget`.
  std::uint64_t lost(std::int32_t chip);

  /// The chip at fault for what went wrong with the group; -1: none that has to be told. It is the one whose
  /// name the error carries, but not one that is up already. Where a member is gone its death is on its way:
  /// it is brought up again, and the communicator with it. `starting`: the worker's own start.
  std::int32_t culprit(std::size_t group, const Error& error, const Children& children, bool starting) const;

  /// What is stored to the host: all of it, or buffers of one name. An error: there is none of that name.
  Result<std::vector<Staging>> stores(const std::string& name, const Children& children) const;

 private:
  struct Group {
    std::set<std::int32_t> ready;  ///< chips whose device is there
    std::uint64_t domain = 0;      ///< being formed, or formed; 0: none
    std::shared_ptr<const DomainInfo> info;
    std::size_t loads = 0;  ///< staged buffers on their way to the chips
  };

  std::uint32_t node_;
  ConfiguredChips& shown_;
  BootstrapPlan plan_;
  std::vector<Group> groups_;
};

}  // namespace troupe::actors
