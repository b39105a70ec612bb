// The parts of the HTML report that do not depend on what was found.
#ifndef HALFTONE_TOOLS_FP16_CHECK_HTML_PAGE_H_
#define HALFTONE_TOOLS_FP16_CHECK_HTML_PAGE_H_

#include "absl/strings/string_view.h"

namespace halftone {

absl::string_view PageStyle();   // CSS
absl::string_view PageScript();  // JavaScript: sorting, filtering, opening of charts; the page works without

}  // namespace halftone

#endif  // HALFTONE_TOOLS_FP16_CHECK_HTML_PAGE_H_
