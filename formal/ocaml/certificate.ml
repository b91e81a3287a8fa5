(* The certificate: CERTIFICATE.md, sections 3 to 5, as far as the rules are proved. *)

open Refusal

(* Steps by the rules about max-of-k, or by those about any problem. *)
type proof = Of_one_head of Checked.step list | Of_regions of Checked.general_step list

type t = {
  file_digest : string;
  tensor_digests : (string * string) list;
  sizes : (string * Z.t) list;
  problem : Problem_file.stated;
  margin : Z.t * Z.t;
  correct : Z.t;
  wrong : Z.t;
  total : Z.t;
  profile : (((Z.t * Z.t) * (Z.t * Z.t)) list * (Z.t * Z.t)) option; (* counts at other margins, a bound on the mean loss *)
  proof : proof;
}

let statement_type = "https://in-toto.io/Statement/v1"
let predicate_type = "urn:compact-proofs:accuracy-certificate:v1"
let exponent = Json.bounded (Z.of_int (-16384)) (Z.of_int 16384)
let bits = Json.bounded (Z.of_int 8) (Z.of_int 4096)
let natural = Json.bounded Z.zero (Z.pow (Z.of_int 10) Json.max_digits)

(* Rules of the format whose soundness no machine has checked yet. *)
let not_proved =
  [ "float32_any_order"; "float32_inputs" ]

(* Rules about max-of-k by one head: not about other problems, nor beside regions. *)
let rules_of_one_head =
  [
    "enumerate_sequences"; "branch_sequences"; "pure_sequences"; "direct_path_upper"; "value_path_upper";
    "cubic_tokens"; "count_cubic"; "score_exact"; "score_residual_spread"; "score_product_spread";
    "score_recursive_spread"; "score_singular_value"; "separable_counts"; "direct_path_spread";
    "direct_path_centred_spread"; "value_path_spread"; "max_token_drop"; "max_token_mean";
    "max_token_envelope"; "attention_ranges"; "gap_cells"
  ]

let digest path value =
  let s = Json.text path value in
  let hex c = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') in
  if String.length s = 64 && String.for_all hex s then s else malformed "bad-digest" path

let counts path value =
  let fields = Json.record path [ "counts" ] value in
  let entry path value =
    match Json.array path Json.integer value with
    | [ of_label; queries; ns; right; missed ] -> { Checked.of_label; queries; ns; right; missed }
    | _ -> malformed "wrong-type" path
  in
  Json.array (path ^ ".counts") entry (fields "counts")

let tally path value = Checked.Tally (counts path value)
let tally_of_weights path value = Checked.Tally_of_weights (counts path value)

let rows path = Json.array path (fun path -> Json.array path Json.integer)

let table path value =
  let fields = Json.record path [ "exponent"; "rows" ] value in
  { Checked.rows = rows (path ^ ".rows") (fields "rows"); exponent = exponent (path ^ ".exponent") (fields "exponent") }

let direct_path_upper path value = Checked.Direct_path_upper (table path value)
let value_path_upper path value = Checked.Value_path_upper (table path value)

let cubic_tokens path value =
  let fields = Json.record path [ "masks" ] value in
  Checked.Cubic_tokens (Json.array (path ^ ".masks") rows (fields "masks"))

let right_and_missed path value =
  let fields = Json.record path [ "correct"; "wrong" ] value in
  (natural (path ^ ".correct") (fields "correct"), natural (path ^ ".wrong") (fields "wrong"))

let accuracy path value =
  let right, missed = right_and_missed path value in
  Checked.Accuracy (right, missed)

(* Counts at other margins, and a bound on the mean loss. *)
let at_margin path value =
  let fields = Json.record path [ "correct"; "wrong"; "margin" ] value in
  let count name = natural (path ^ "." ^ name) (fields name) in
  (Json.fraction ~signed:true (path ^ ".margin") (fields "margin"), (count "correct", count "wrong"))

let ladder path fields = (Json.array (path ^ ".profile") at_margin (fields "profile"), Json.fraction (path ^ ".mean_loss") (fields "mean_loss"))

let profile path value =
  let fields = Json.record path [ "correct"; "wrong"; "profile"; "mean_loss" ] value in
  let count name = natural (path ^ "." ^ name) (fields name) in
  let at_margins, mean = ladder path fields in
  Checked.Profile_of_weights (count "correct", count "wrong", at_margins, mean)

let scores path value =
  let fields = Json.record path [ "exponent"; "kept"; "error" ] value in
  let unit = exponent (path ^ ".exponent") (fields "exponent") in
  let kept = rows (path ^ ".kept") (fields "kept") in
  Checked.Score_approximation ({ Checked.rows = kept; exponent = unit }, Json.array (path ^ ".error") Json.integer (fields "error"))

let matrix unit path value =
  match rows path value with
  | (_ :: _ as first) :: rest as rows when List.for_all (fun row -> List.length row = List.length first) rest ->
      { Checked.rows; exponent = unit }
  | _ -> malformed "not-a-matrix" path

let projector path value =
  let fields = Json.record path [ "onto"; "along"; "exponent" ] value in
  let unit = exponent (path ^ ".exponent") (fields "exponent") in
  let matrix name = matrix unit (path ^ "." ^ name) (fields name) in
  { Checked.onto = matrix "onto"; along = matrix "along" }

let projectors path = Json.array path projector

let direct_path_spread path value =
  let fields = Json.record path [ "centre"; "spread" ] value in
  Checked.Direct_path_spread (table (path ^ ".centre") (fields "centre"), table (path ^ ".spread") (fields "spread"))

let value_path_spread path value = Checked.Value_path_spread (table path value)

let max_token_path path value =
  let fields = Json.record path [ "spread"; "lines" ] value in
  Checked.Max_token_path (table (path ^ ".spread") (fields "spread"), table (path ^ ".lines") (fields "lines"))

let attention_ranges path value =
  let fields = Json.record path [ "bits"; "ranges" ] value in
  let of_maxima path = Json.array path (fun path -> Json.array path rows) in
  Checked.Attention_ranges (bits (path ^ ".bits") (fields "bits"), of_maxima (path ^ ".ranges") (fields "ranges"))

(* What separable_counts counts, group by group. *)
let classes path value =
  let kind path value = match Json.array path Json.integer value with [] -> malformed "wrong-type" path | row -> row in
  Json.array path kind value

let cut path value =
  match Json.array path Json.integer value with
  | target :: step_of :: phases when Z.gt step_of Z.zero && Z.leq step_of (Z.shift_left Z.one 8192) -> { Checked.target; step_of; phases }
  | _ -> malformed "out-of-range" (path ^ "[1]")

let part path value =
  let fields = Json.record path [ "token"; "above"; "below" ] value in
  let cuts name = Json.array (path ^ "." ^ name) cut (fields name) in
  { Checked.its_token = Json.integer (path ^ ".token") (fields "token"); above = cuts "above"; below = cuts "below" }

let block path value =
  let fields = Json.record path [ "queries"; "classes"; "parts" ] value in
  { Checked.block_queries = Json.integer (path ^ ".queries") (fields "queries");
    own_classes = classes (path ^ ".classes") (fields "classes"); parts = Json.array (path ^ ".parts") part (fields "parts") }

let group path value =
  let fields = Json.record path [ "m"; "pools"; "classes"; "blocks" ] value in
  { Checked.maximum = Json.integer (path ^ ".m") (fields "m");
    pools_of = Json.array (path ^ ".pools") Json.integer (fields "pools");
    shared_classes = classes (path ^ ".classes") (fields "classes"); blocks = Json.array (path ^ ".blocks") block (fields "blocks") }

(* What regions are about: an automaton and its parts. A number that is none of the automaton is one beyond all of them. *)
let beyond = 1 lsl 30
let index n = if Z.sign n >= 0 && Z.lt n (Z.of_int beyond) then Z.to_int n else beyond
let index_or_none n = if Z.equal n Z.minus_one then None else Some (index n)

let part_or_none path value =
  let n = Json.integer path value in
  if Z.geq n (Z.of_int beyond) then refuse Not_proved "not-proved-part" path;
  index_or_none n

(* Below -1 there is no part. *)
let require_parts path value =
  let below path value = if Z.lt (Json.integer path value) Z.minus_one then refuse Rejected "bad-automaton" path in
  ignore (Json.array path below value)

let region_group ~argument path value =
  let fields = Json.record path [ "label"; "queries"; "rivals"; "symbols"; "next"; "parts" ] value in
  let at name = path ^ "." ^ name in
  let list name item = Json.array (at name) item (fields name) in
  if argument then require_parts (at "parts") (fields "parts");
  { Checked.label_of = index (Json.integer (at "label") (fields "label")); queries0 = Json.integer (at "queries") (fields "queries");
    rivals0 = list "rivals" Json.integer; symbols = List.map index (list "symbols" Json.integer);
    next = List.map (List.map index_or_none) (matrix Z.zero (at "next") (fields "next")).Checked.rows; parts0 = list "parts" part_or_none }

let region_groups ~argument path = Json.array path (region_group ~argument)
let hints path = Json.array path rows

let regions_of path value =
  let fields = Json.record path [ "bits"; "groups"; "ranges" ] value in
  (bits (path ^ ".bits") (fields "bits"), region_groups ~argument:false (path ^ ".groups") (fields "groups"), rows (path ^ ".ranges") (fields "ranges"))

let regions path value =
  let bits, groups, ranges = regions_of path value in
  Checked.Regions (bits, groups, ranges)

let region_gaps path value =
  let fields = Json.record path [ "regions"; "gaps" ] value in
  let bits, groups, ranges = regions_of (path ^ ".regions") (fields "regions") in
  Checked.Region_gaps (bits, groups, ranges, rows (path ^ ".gaps") (fields "gaps"))

(* The parts of a step: its rule, arguments, margin, premises and conclusion. *)
type parts_of_step = {
  name : string;
  args : string list -> string -> Json.t;
  margin : (Z.t * Z.t) option;
  premises : Z.t list;
  concluded : Json.t;
}

let parts_of_step path value =
  let fields = Json.record ~optional:[ "margin" ] path [ "rule"; "premises"; "args"; "conclusion" ] value in
  { name = Json.text (path ^ ".rule") (fields "rule"); args = (fun names -> Json.record (path ^ ".args") names (fields "args"));
    margin = Option.map (Json.fraction ~signed:true (path ^ ".margin")) (Json.optional "margin" value);
    premises = Json.array (path ^ ".premises") Json.integer (fields "premises"); concluded = fields "conclusion" }

(* One to eight numbers of bits, increasing. *)
let precisions path value =
  let all = Json.array path bits value in
  if List.length all < 1 || List.length all > 8 then malformed "out-of-range" path;
  if List.sort_uniq Z.compare all <> all then malformed "not-increasing" path;
  all

let rules_about_any_problem = [ "regions"; "region_gaps"; "region_counts"; "evaluate_inputs"; "expected_loss" ]

let general_step path value =
  let { name; args; margin; premises; concluded } = parts_of_step path value in
  let arg decode args name = decode (path ^ ".args." ^ name) (args name) in
  let uses, concludes =
    match name with
    | "regions" ->
        let args = args [ "bits"; "groups"; "hints" ] in
        (Checked.Apply_regions (arg bits args "bits", arg (region_groups ~argument:true) args "groups", arg hints args "hints"), regions)
    | "region_gaps" -> (Checked.Apply_region_gaps (arg hints (args [ "hints" ]) "hints"), region_gaps)
    | "region_counts" ->
        (Checked.Apply_region_counts (arg hints (args [ "hints" ]) "hints"), tally_of_weights)
    | "evaluate_inputs" -> (Checked.Apply_evaluate_inputs (arg precisions (args [ "bits" ]) "bits"), tally_of_weights)
    | "expected_loss" ->
        let args = args [ "bits"; "losses" ] in
        let losses = arg (fun path -> Json.array path Json.integer) args "losses" in
        (Checked.Apply_expected_loss (arg bits args "bits", losses), profile)
    | "total" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_total_of_weights, fun path value -> let right, missed = right_and_missed path value in Checked.Accuracy_of_weights (right, missed))
    | _ when List.mem name not_proved -> refuse Not_proved ("not-proved-rule " ^ name) (path ^ ".rule")
    | _ when List.mem name rules_of_one_head -> refuse Not_proved ("not-proved-here " ^ name) (path ^ ".rule")
    | _ -> malformed "unknown-rule" (path ^ ".rule")
  in
  { Checked.uses; own_margin = margin; premise_numbers = premises; concluded = concludes (path ^ ".conclusion") concluded }

let step path value =
  let { name; args; margin; premises; concluded } = parts_of_step path value in
  let arg decode args name = decode (path ^ ".args." ^ name) (args name) in
  let applied, concludes =
    match name with
    | "enumerate_sequences" ->
        let args = args [ "exponent"; "bits" ] in
        (Checked.Apply_enumerate_sequences (arg exponent args "exponent", arg bits args "bits"), tally)
    | "branch_sequences" ->
        let args = args [ "exponent"; "bits"; "queries" ] in
        let queries = arg (fun path -> Json.array path Json.integer) args "queries" in
        (Checked.Apply_branch_sequences (arg exponent args "exponent", arg bits args "bits", queries), tally)
    | "pure_sequences" ->
        let args = args [ "exponent"; "bits" ] in
        (Checked.Apply_pure_sequences (arg exponent args "exponent", arg bits args "bits"), tally)
    | "direct_path_upper" -> (Checked.Apply_direct_path_upper (arg exponent (args [ "exponent" ]) "exponent"), direct_path_upper)
    | "value_path_upper" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_value_path_upper, value_path_upper)
    | "cubic_tokens" -> (Checked.Apply_cubic_tokens (arg bits (args [ "bits" ]) "bits"), cubic_tokens)
    | "count_cubic" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_count_cubic, tally)
    | "score_exact" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_score_exact, scores)
    | "score_residual_spread" -> (Checked.Apply_score_residual_spread (arg projectors (args [ "peels" ]) "peels"), scores)
    | "score_product_spread" ->
        let args = args [ "peels"; "bases"; "means" ] in
        let mean = Z.equal (arg (Json.bounded Z.zero Z.one) args "means") Z.one in
        (Checked.Apply_score_product_spread (arg projectors args "peels", arg projectors args "bases", mean), scores)
    | "score_recursive_spread" ->
        let args = args [ "peels"; "means" ] in
        let means = Z.to_int (arg (Json.bounded Z.zero (Z.of_int 3)) args "means") in
        (Checked.Apply_score_recursive_spread (arg projectors args "peels", means), scores)
    | "score_singular_value" ->
        let args = args [ "peels"; "sigma"; "exponent"; "ridge"; "ridge_exponent"; "witness" ] in
        let size name = arg (Json.bounded Z.zero (Z.shift_left Z.one 1024)) args name and unit name = arg exponent args name in
        let projectors = arg projectors args "peels" and witness = arg (matrix Z.zero) args "witness" in
        (Checked.Apply_score_singular_value (projectors, size "sigma", unit "exponent", size "ridge", unit "ridge_exponent", witness), scores)
    | "separable_counts" ->
        let args = args [ "exponent"; "bits"; "groups" ] in
        let groups = arg (fun path -> Json.array path group) args "groups" in
        (Checked.Apply_separable_counts (arg exponent args "exponent", arg bits args "bits", groups), tally)
    | "direct_path_spread" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_direct_path_spread, direct_path_spread)
    | "direct_path_centred_spread" ->
        (Checked.Apply_direct_path_centred_spread (arg table (args [ "centre" ]) "centre"), direct_path_spread)
    | "value_path_spread" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_value_path_spread, value_path_spread)
    | "max_token_drop" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_max_token_drop, max_token_path)
    | "max_token_mean" -> (Checked.Apply_max_token_mean (arg table (args [ "centres" ]) "centres"), max_token_path)
    | "max_token_envelope" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_max_token_envelope, max_token_path)
    | "attention_ranges" ->
        let args = args [ "bits"; "gaps" ] in
        let gaps = arg (fun path -> Json.array path rows) args "gaps" in
        (Checked.Apply_attention_ranges (arg bits args "bits", gaps), attention_ranges)
    | "gap_cells" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_gap_cells, tally)
    | "total" ->
        let _none : string -> Json.t = args [] in
        (Checked.Apply_total, accuracy)
    | _ when List.mem name not_proved -> refuse Not_proved ("not-proved-rule " ^ name) (path ^ ".rule")
    | _ -> malformed "unknown-rule" (path ^ ".rule")
  in
  { Checked.applied; at_margin = margin; premises; conclusion = concludes (path ^ ".conclusion") concluded }

let is_about_any_problem steps =
  let name = function Json.Object fields -> List.assoc_opt "rule" fields | _ -> None in
  let is_one step = match name step with Some (Json.String name) -> List.mem name rules_about_any_problem | _ -> false in
  match steps with Json.List steps -> List.exists is_one steps | _ -> false

(* Of a model whose file says its architecture, or not. *)
let read ~architecture data =
  let content = Json.parse (Member.content data) in
  (match content with
  | Json.Object fields when List.mem_assoc "dsseEnvelope" fields || (List.mem_assoc "payload" fields && List.mem_assoc "signatures" fields) ->
      malformed "signed-envelope" ""
  | _ -> ());
  let statement = Json.record "" [ "_type"; "subject"; "predicateType"; "predicate" ] content in
  Json.constant "_type" (Json.String statement_type) (statement "_type");
  let stem = String.sub predicate_type 0 (String.length predicate_type - 1) in
  let ours = match statement "predicateType" with Json.String s -> String.length s >= String.length stem && String.sub s 0 (String.length stem) = stem | _ -> false in
  Json.constant ~code:(if ours then "unsupported-version" else "unsupported") "predicateType" (Json.String predicate_type) (statement "predicateType");
  let subjects = Json.array "subject" (fun path value -> Json.record path [ "name"; "digest" ] value) (statement "subject") in
  let subject = match subjects with [ one ] -> one | _ -> malformed "unsupported" "subject" in
  ignore (Json.text "subject[0].name" (subject "name"));
  let file_digest = Json.record "subject[0].digest" [ "sha256" ] (subject "digest") in
  (match statement "predicate" with
  | Json.Object fields ->
      Option.iter (Json.constant ~code:"unsupported-version" "predicate.formatVersion" (Json.Int Z.one)) (List.assoc_opt "formatVersion" fields)
  | _ -> ());
  let predicate =
    Json.record "predicate" [ "formatVersion"; "task"; "model"; "semantics"; "margin"; "claim"; "strategy"; "steps" ] (statement "predicate")
  in
  if predicate "semantics" = Json.String "float32-any-order" then refuse Not_proved "not-proved-semantics" "predicate.semantics";
  Json.constant "predicate.semantics" (Json.String "exact-real") (predicate "semantics");
  ignore (Json.text "predicate.strategy" (predicate "strategy"));
  let model = Json.mapping "predicate.model" (predicate "model") in
  let tensors = match List.assoc_opt "tensors" model with Some value -> Json.mapping "predicate.model.tensors" value | None -> malformed "wrong-type" "predicate.model.tensors" in
  let claim = Json.mapping "predicate.claim" (predicate "claim") in
  let has_profile = List.mem_assoc "profile" claim in
  let claim = Json.record "predicate.claim" ([ "correct"; "wrong"; "total" ] @ if has_profile then [ "profile"; "mean_loss" ] else []) (Json.Object claim) in
  let number name = natural ("predicate.claim." ^ name) (claim name) in
  let problem = Problem_file.decode "predicate.task" (predicate "task") in
  let about_regions = architecture || is_about_any_problem (predicate "steps") || (match problem with Problem_file.File _ -> true | Max_of_k _ -> false) in
  {
    file_digest = digest "subject[0].digest.sha256" (file_digest "sha256");
    tensor_digests = List.map (fun (name, value) -> (name, digest "predicate.model.tensors" value)) tensors;
    sizes = List.map (fun (name, value) -> (name, Json.integer "predicate.model" value)) (List.remove_assoc "tensors" model);
    problem;
    margin = Json.fraction "predicate.margin" (predicate "margin");
    correct = number "correct";
    wrong = number "wrong";
    total = number "total";
    profile = (if has_profile then Some (ladder "predicate.claim" claim) else None);
    proof =
      (if about_regions then Of_regions (Json.array "predicate.steps" general_step (predicate "steps"))
       else Of_one_head (Json.array "predicate.steps" step (predicate "steps")));
  }
