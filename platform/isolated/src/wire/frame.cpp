#include "wire/frame.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::isolation {
namespace {

constexpr std::size_t first_room = std::size_t{64} << 10U;

Error no_frame(const std::string& what) { return Error(Errc::internal, "what came is no message: " + what); }

}  // namespace

std::span<std::byte> Assembler::room() {
  if (begin_ == end_) begin_ = end_ = 0;
  // A frame that reaches the end of the memory moves to its front before that grows.
  if (bytes_.size() - end_ < first_room / 4 && begin_ != 0) {
    std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (bytes_.size() - end_ < first_room / 4) bytes_.resize(std::max(first_room, bytes_.size() * 2));
  return std::span(bytes_).subspan(end_);
}

void Assembler::took(std::vector<comm::FileDescriptor> descriptors) {
  descriptors_.push_back(std::move(descriptors));
}

Result<bool> Assembler::next(Frame& frame) {
  FrameHeader header;
  if (end_ - begin_ < sizeof header) return false;
  std::memcpy(&header, bytes_.data() + begin_, sizeof header);
  if (header.magic != FrameHeader::sign) return no_frame("it does not begin like one");
  if (header.bytes > most_frame_bytes) {
    return no_frame("it says that it has " + std::to_string(header.bytes) + " bytes");
  }
  if (header.descriptors > most_descriptors || header.reserved != 0) return no_frame("impossible values");
  if (end_ - begin_ - sizeof header < header.bytes) return false;
  frame.kind = header.kind;
  frame.number = header.number;
  frame.payload = std::span<const std::byte>(bytes_).subspan(begin_ + sizeof header, header.bytes);
  frame.descriptors.clear();
  if (header.descriptors != 0 && !descriptors_.empty()) {
    frame.descriptors = std::move(descriptors_.front());
    descriptors_.pop_front();
  }
  frame.descriptors.resize(header.descriptors);
  begin_ += sizeof header + header.bytes;
  return true;
}

}  // namespace troupe::platform::isolation
