#include "host/pieces.hpp"

#include <cstring>

namespace troupe::platform::isolation {

std::optional<Pieces::Place> Pieces::find(Link& link, const std::byte* address, std::uint64_t bytes) {
  if (!memory_ || address == nullptr || !link.is_local()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  for (const auto& known : known_) {
    if (address < known.base || known.alive.expired()) continue;
    const auto offset = static_cast<std::uint64_t>(address - known.base);
    if (offset < known.bytes && bytes <= known.bytes - offset) return Place{known.number, offset};
  }
  const auto piece = memory_->piece_at(address, bytes);
  if (!piece) return std::nullopt;
  // Those that have gone here take no memory there any more.
  std::erase_if(known_, [&](const Known& known) {
    if (!known.alive.expired()) return false;
    unshare(link, known.number);
    return true;
  });
  const auto number = pass_on(link, piece->bytes, piece->descriptor);
  if (number == 0) return std::nullopt;
  known_.push_back({piece->keeps, piece->base, piece->bytes, number});
  return Place{number, static_cast<std::uint64_t>(address - piece->base)};
}

std::uint32_t Pieces::share(Link& link, const SharedPages& pages) {
  const std::lock_guard lock(mutex_);
  const auto number = pass_on(link, pages.size(), pages.descriptor());
  if (number != 0 && !link.is_local()) is_copied(number, {pages.base(), pages.size()});
  return number;
}

std::uint32_t Pieces::pass_on(Link& link, std::uint64_t bytes, int descriptor) {
  const auto number = last_ + 1;
  Writer news;
  news.put(ShareNews{bytes, number, 0});
  const std::span<const int> along(&descriptor, link.is_local() ? 1 : 0);
  if (!link.send(Kind::share, 0, news.bytes(), along)) return 0;
  return last_ = number;
}

void Pieces::unshare(Link& link, std::uint32_t piece) {
  Writer news;
  news.put(ShareNews{0, piece, 0});
  (void)link.send(Kind::unshare, 0, news.bytes());
  const std::lock_guard lock(copied_mutex_);
  copied_.erase(piece);
}

void Pieces::is_copied(std::uint32_t piece, std::span<std::byte> memory) {
  const std::lock_guard lock(copied_mutex_);
  copied_[piece] = memory;
}

bool Pieces::filled(std::uint32_t piece, std::uint64_t offset, std::span<const std::byte> bytes) {
  const std::lock_guard lock(copied_mutex_);
  const auto found = copied_.find(piece);
  if (found == copied_.end()) return true;  // of a run that nobody waits for any more
  const auto memory = found->second;
  if (offset > memory.size() || bytes.size() > memory.size() - offset) return false;
  if (!bytes.empty()) std::memcpy(memory.data() + offset, bytes.data(), bytes.size());
  return true;
}

}  // namespace troupe::platform::isolation
