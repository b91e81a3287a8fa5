(* Refusals as data: CERTIFICATE.md, sections 7 and 8. *)

type kind = Rejected | Malformed | Other_model | Resource_limit | Not_proved

exception Refusal of { kind : kind; code : string; path : string }

let refuse kind code path = raise (Refusal { kind; code; path })
let malformed code path = refuse Malformed code path

let word = function
  | Rejected -> "REJECTED"
  | Malformed -> "MALFORMED"
  | Other_model -> "OTHER-MODEL"
  | Resource_limit -> "RESOURCE-LIMIT"
  | Not_proved -> "NOT-PROVED"

let exit_code = function Rejected -> 1 | Malformed -> 3 | Other_model -> 4 | Resource_limit -> 5 | Not_proved -> 6
