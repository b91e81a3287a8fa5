(* check-cert-verified [--problem FILE] [--budget N] [--json] MODEL CERT [CERT ...]: the checker that the theorems of Main.v
   are about, on files. *)

open Refusal

let default_budget = Z.of_int (1 lsl 25)

let read path =
  try
    let file = open_in_bin path in
    let length = in_channel_length file in
    if length > Member.max_bytes then malformed "too-large" "";
    let data = really_input_string file length in
    close_in file;
    data
  with Sys_error _ | End_of_file -> malformed "unreadable-file" ""

let kind_of = function
  | Checked.Over_budget -> Resource_limit
  | Checked.Out_of_range | Checked.Bad_weights -> Malformed
  | _ -> Rejected

let code_of = function
  | Checked.Bad_premise -> "bad-premise"
  | Checked.Wrong_margin -> "wrong-margin"
  | Checked.Bound_too_small -> "bound-too-small"
  | Checked.Token_not_accepted -> "token-not-accepted"
  | Checked.Wrong_premises -> "wrong-premises"
  | Checked.Wrong_shape -> "wrong-shape"
  | Checked.Count_too_large -> "count-too-large"
  | Checked.Wrong_region -> "wrong-region"
  | Checked.No_such_region -> "no-such-region"
  | Checked.Region_covered_twice -> "region-covered-twice"
  | Checked.Error_too_small -> "error-too-small"
  | Checked.Other_centre -> "other-centre"
  | Checked.Wrong_unit -> "wrong-unit"
  | Checked.Range_too_narrow -> "range-too-narrow"
  | Checked.Bad_gap -> "bad-gap"
  | Checked.Not_dominant -> "not-dominant"
  | Checked.Not_a_partition -> "not-a-partition"
  | Checked.No_such_class -> "no-such-class"
  | Checked.Wrong_token_left_out -> "wrong-token-left-out"
  | Checked.Nothing_proved -> "nothing-proved"
  | Checked.Over_budget -> "over-budget"
  | Checked.Out_of_range -> "out-of-range"
  | Checked.Bad_weights -> "bad-shape"
  | Checked.Bad_automaton -> "bad-automaton"
  | Checked.Wrong_label -> "wrong-label"
  | Checked.Wrong_task -> "wrong-task"
  | Checked.Not_a_ladder -> "not-a-ladder"
  | Checked.Loss_unbounded -> "loss-unbounded"
  | Checked.Loss_too_small -> "loss-too-small"
  | Checked.Mean_above_bound -> "mean-above-bound"
  | Checked.Too_coarse -> "too-coarse"

let sorted l = List.sort compare l

let decimal units = Z.to_string (Z.div units (Z.of_int 100000)) ^ "." ^ Printf.sprintf "%05d" (Z.to_int (Z.rem units (Z.of_int 100000)))
let rounded_down n total = decimal (Z.div (Z.mul n (Z.of_int 100000)) total)
let rounded_up n total = decimal (Z.cdiv (Z.mul n (Z.of_int 100000)) total)

(* A line of text, and the same as fields of a JSON object. No text of a file is in either, so there is nothing to escape. *)
let quoted text = "\"" ^ text ^ "\""
let json fields = "{" ^ String.concat ", " (List.map (fun (name, value) -> quoted name ^ ": " ^ value) fields) ^ "}"

let of_fraction (above, below) = if Z.equal below Z.one then Z.to_string above else Z.to_string above ^ "/" ^ Z.to_string below

(* Of a claim with a profile: the accuracy at margins other than its own, and the mean loss. *)
let profile_text (c : Certificate.t) total =
  match c.profile with
  | None -> ""
  | Some (ladder, mean) ->
      let at (margin, (correct, wrong)) =
        let most = Z.sub total wrong in
        if margin = c.margin then ""
        else
          Printf.sprintf " %s: %s %s%s" (of_fraction margin)
            (if Z.equal correct most then "=" else ">=")
            (rounded_down correct total)
            (if Z.lt correct most && Z.lt most total then " <= " ^ rounded_up most total else "")
      in
      let others = String.concat "" (List.map at ladder) in
      (if others = "" then "" else " margins" ^ others) ^ " mean-loss <= " ^ rounded_up (fst mean) (snd mean)

let profile_fields (c : Certificate.t) =
  match c.profile with
  | None -> []
  | Some (ladder, mean) ->
      let at (margin, (correct, wrong)) =
        json [ ("margin", quoted (of_fraction margin)); ("correct", Z.to_string correct); ("wrong", Z.to_string wrong) ] in
      [ ("profile", "[" ^ String.concat ", " (List.map at ladder) ^ "]"); ("mean_loss", quoted (of_fraction mean)) ]

let verified (model : Model_file.t) (c : Certificate.t) (problem : Problem_file.t) file =
  let text = Z.to_string and total = problem.total in
  let most = Z.sub total c.wrong in
  let about =
    [ ("task", problem.text); ("d_vocab", string_of_int (List.assoc "d_vocab" model.sizes)) ]
    @ (if model.architecture.entry = None then [] else [ ("arch", model.architecture.brief) ])
    @ [ ("semantics", "exact-real"); ("margin", of_fraction c.margin) ]
    @ Option.fold ~none:[] ~some:(fun digest -> [ ("problem", "sha256:" ^ digest) ]) problem.digest
    @ [ ("model", "sha256:" ^ model.file_digest) ]
  in
  let line =
    Printf.sprintf "VERIFIED accuracy %s %s/%s (%s) %s%s%s%s"
      (if Z.equal c.correct most then "=" else ">=")
      (text c.correct) (text total) (rounded_down c.correct total)
      (if Z.lt c.correct most && Z.lt most total then
         Printf.sprintf "and <= %s/%s (%s) " (text most) (text total) (rounded_up most total)
       else "")
      (String.concat " " (List.map (fun (name, value) -> name ^ "=" ^ value) about))
      (profile_text c total)
      (if file = "CERT" then "" else " in " ^ file)
  in
  let counts = [ ("correct", text c.correct); ("wrong", text c.wrong); ("total", text total) ] in
  let about = List.map (fun (name, value) -> (name, if name = "d_vocab" then value else quoted value)) about in
  let architecture = Option.fold ~none:[] ~some:(fun entry -> [ ("architecture", Json.written ~colon:": " ~comma:", " entry) ]) model.architecture.entry in
  (0, line, [ ("verdict", quoted "verified"); ("exit_code", "0"); ("file", quoted file) ] @ counts @ about @ architecture @ profile_fields c)

(* [expected] and [got], which check-cert can say more of, are empty. *)
let refused word exit_code code file path =
  let line = Printf.sprintf "%s %s in %s%s" word code file (if path = "" then "" else " at " ^ path) in
  let texts = [ ("file", file); ("code", code); ("path", path); ("expected", ""); ("got", "") ] in
  let fields = List.map (fun (name, value) -> (name, quoted value)) texts in
  (exit_code, line, ("verdict", quoted (String.lowercase_ascii word)) :: ("exit_code", string_of_int exit_code) :: fields)

let check problem_path budget model_path certificate_path file =
  let about name work = try Ok (work ()) with Refusal r -> Error (name, r.kind, r.code, r.path) in
  let ( let* ) = Result.bind in
  let outcome =
    let* (model : Model_file.t) = about "MODEL" (fun () -> Model_file.read (read model_path)) in
    let size name = List.assoc name model.sizes in
    let architecture = model.architecture.entry <> None in
    let of_model at = Problem_file.of_model at ~v:(size "d_vocab") ~n_ctx:(size "n_ctx") ~outputs:(size (if architecture then "d_vocab_out" else "d_vocab")) in
    let* wanted =
      match problem_path with
      | None -> Ok None
      | Some path -> about "PROBLEM" (fun () -> Some (Problem_file.decode "" (Json.parse (read path)))) in
    let* (c, problem) =
      about file (fun () ->
          let c = Certificate.read ~architecture (read certificate_path) in
          if c.file_digest <> model.file_digest then refuse Other_model "model-digest" "subject[0].digest.sha256";
          if sorted c.tensor_digests <> sorted model.tensor_digests then refuse Other_model "tensor-digest" "predicate.model.tensors";
          let sizes = List.map (fun (name, n) -> (name, Z.of_int n)) model.sizes in
          if sorted c.sizes <> sorted sizes then refuse Rejected "wrong-size" "predicate.model";
          (c, of_model "predicate.task." c.problem)) in
    let* wanted = about "PROBLEM" (fun () -> Option.map (of_model "") wanted) in
    about file (fun () ->
        (match wanted with
        | Some (wanted : Problem_file.t) -> if wanted.normal <> problem.normal then refuse Rejected "other-problem" "predicate.task"
        | None -> ());
        if not (Z.equal c.total problem.total) then refuse Rejected "wrong-total" "predicate.claim.total";
        let outcome =
          match c.proof, model.weights, c.problem with
          | Of_one_head _, _, _ when c.profile <> None -> refuse Rejected "nothing-proved" "predicate.steps"
          | Of_one_head steps, Some weights, _ -> Checked.check weights budget c.margin steps c.correct c.wrong
          | Of_regions steps, Some weights, Max_of_k _ when c.profile = None -> Checked.check_regions weights budget c.margin steps c.correct c.wrong
          | Of_regions steps, _, _ -> Checked.check_general model.layer problem.checked budget c.margin steps c.correct c.wrong c.profile
          | Of_one_head _, None, _ -> assert false
        in
        match outcome with
        | Checked.Verified -> verified model c problem file
        | Checked.Not_verified (why, at) ->
            let path = match at with Some n -> Printf.sprintf "predicate.steps[%d]" n | None -> "predicate.claim" in
            refuse (kind_of why) (code_of why) path)
  in
  match outcome with
  | Ok verdict -> verdict
  | Error (name, kind, code, path) -> refused (word kind) (exit_code kind) code name path

let usage () =
  prerr_endline "usage: check-cert-verified [--problem FILE] [--budget N] [--json] MODEL CERT [CERT ...]";
  exit 2

let rec options problem budget as_json = function
  | "--json" :: rest -> options problem budget true rest
  | "--problem" :: path :: rest -> options (Some path) budget as_json rest
  | "--budget" :: n :: rest -> (
      match int_of_string_opt n with Some b when b > 0 -> options problem (Z.of_int b) as_json rest | _ -> usage ())
  | files -> (problem, budget, as_json, files)

let () =
  match options None default_budget false (List.tl (Array.to_list Sys.argv)) with
  | problem, budget, as_json, model :: (_ :: _ as certificates) ->
      let several = List.length certificates > 1 in
      let code_of_one i path =
        let file = if several then Printf.sprintf "CERT %d" (i + 1) else "CERT" in
        let code, line, fields =
          try check problem budget model path file
          with Stack_overflow | Out_of_memory | Z.Overflow | Invalid_argument _ | Not_found | Failure _ ->
            refused "INTERNAL-ERROR" 70 "unexpected" file ""
        in
        print_endline (if as_json then json fields else line);
        code
      in
      exit (List.fold_left max 0 (List.mapi code_of_one certificates))
  | _ -> usage ()
