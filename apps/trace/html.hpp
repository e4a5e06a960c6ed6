#pragma once

#include <iosfwd>

#include "troupe/actors/trace.hpp"

namespace troupe::apps {

/// One page with everything in it: no network, no other file. Lanes per chip and core, zoom, search, and the
/// dependencies of whatever is clicked.
void write_html(const actors::Trace& trace, std::ostream& out);

}  // namespace troupe::apps
