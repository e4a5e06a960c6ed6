// A placement: groups, whose members go to one executor each and begin together.
#include <algorithm>
#include <functional>

#include "placement/placement.hpp"
#include "tasks.hpp"
#include "troupe/actors/errc.hpp"

namespace troupe::actors {

/// For members that are bound to none: those with least to do, each once; -1: there are no more.
void Placement::choose_lanes(Group& group, ExecutorKind kind) const {
  if (std::none_of(group.lanes.begin(), group.lanes.end(), [](std::int32_t it) { return it < 0; })) return;
  std::vector<bool> taken(lanes_.size());
  for (const auto place : group.lanes) {
    if (place >= 0 && static_cast<std::size_t>(place) < taken.size())
      taken[static_cast<std::size_t>(place)] = true;
  }
  std::vector<std::pair<std::size_t, std::int32_t>> free;  // by load
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const auto& it = lanes_[i];
    if (it.kind != kind || it.retired || it.closing || taken[i]) continue;
    free.emplace_back(it.used + it.queue.size() + (it.up ? 0 : 1000), static_cast<std::int32_t>(i));
  }
  std::sort(free.begin(), free.end());
  auto next = free.begin();
  for (auto& place : group.lanes) {
    if (place < 0 && next != free.end()) place = next++->second;
  }
}

void Placement::take_group(TaskRequest request) {
  auto group = std::make_shared<Group>();
  const auto kind = kind_for(request);
  const auto& extras = *request.body->extras;
  const auto members = extras.members.size();
  for (std::size_t i = 0; i < members; ++i) {
    const auto wanted = extras.chips.empty() ? home_of(extras.members[i], node_) : extras.chips[i];
    group->lanes.push_back(wanted);
  }
  choose_lanes(*group, kind);
  for (const auto place : group->lanes) {
    const bool exists =
        place >= 0 && static_cast<std::size_t>(place) < lanes_.size() && lane(place).kind == kind;
    if (exists && !lane(place).retired) continue;
    return refuse(request, {Errc::group_too_large, "there are not " + std::to_string(members) +
                                                       " executors (any more) to run this group together"});
  }
  group->shared = shared_in(*request.body);
  group->request = std::move(request);
  for (const auto place : group->lanes) {
    lane(place).queue.push_back({{}, group, 0});
    relist(place);
    touch(place);
  }
}

bool Placement::start_group(const std::shared_ptr<Group>& group) {
  for (const auto place : group->lanes) {
    const auto& it = lane(place);
    if (!it.up || it.used >= it.credit || it.queue.empty() || it.queue.front().group != group) return false;
  }
  const bool there = bring_group_data(*group);
  if (group->refused) {
    for (const auto place : group->lanes) {
      lane(place).queue.pop_front();
      relist(place);
      touch(place);
    }
    refuse(group->request, *group->refused);
    return true;
  }
  if (!there) return false;
  for (std::uint32_t member = 0; member < group->lanes.size(); ++member) {
    const auto place = group->lanes[member];
    lane(place).queue.pop_front();
    relist(place);
    auto request = group->request;
    request.key.member = member;
    put(place, std::move(request), group.get());
    touch(place);
  }
  return true;
}

/// Members of a group run at the same time: what one writes and another sees stays in host memory, with its
/// whole buffer.
std::vector<const Buffer*> Placement::shared_in(const TaskBody& body) {
  struct View {
    const Operand* operand;
    std::size_t member;
    bool writes;
  };
  std::vector<View> views;
  const auto& members = body.extras->members;
  for (std::size_t m = 0; m < members.size(); ++m) {
    for (const auto& operand : members[m].tensors) {
      if (operand.buffer != nullptr) views.push_back({&operand, m, runtime::writes(operand.tag)});
    }
  }
  std::sort(views.begin(), views.end(),
            [](const View& a, const View& b) { return std::less<>()(a.operand->buffer, b.operand->buffer); });
  std::vector<const Buffer*> shared;
  for (auto view = views.begin(); view != views.end(); ++view) {
    const auto* buffer = view->operand->buffer;
    if (!view->writes || (!shared.empty() && shared.back() == buffer)) continue;
    const auto [first, last] = std::equal_range(
        views.begin(), views.end(), *view,
        [](const View& a, const View& b) { return std::less<>()(a.operand->buffer, b.operand->buffer); });
    const auto box = box_of(*view->operand);
    const bool seen = std::any_of(first, last, [&](const View& other) {
      return other.member != view->member && runtime::overlaps(box, box_of(*other.operand));
    });
    if (seen) shared.push_back(buffer);
  }
  return shared;
}

/// Whether the data of all its members is there; what is not is on its way then.
bool Placement::bring_group_data(Group& group) {
  if (data_ == nullptr) return true;
  bool there = true;
  for (std::uint32_t member = 0; member < group.lanes.size(); ++member) {
    auto request = group.request;
    request.key.member = member;
    stay_home(request, group.lanes[member], &group);
    const auto needs = data_->needs(request, group.lanes[member]);
    if (needs.refused) {
      group.refused = needs.refused;
      return false;
    }
    for (const auto& missing : needs.home) data_->bring_home(missing);
    order_data();
    group_follows_ = group_follows_ || needs.after_others;
    there = there && needs.home.empty() && !needs.after_others;
  }
  return there;
}

}  // namespace troupe::actors
