(** CERTIFICATE.md, section 6: each step is derived from facts of earlier steps; the last fact must entail the claim. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Integer.Tables Facts Premises Rules.enumerate_sequences Rules.branch_sequences Rules.pure_sequences Rules.total.
From Compact Require Import Rules.direct_path_upper Rules.value_path_upper Rules.cubic_tokens Rules.count_cubic.
From Compact Require Import Integer.Splitting Rules.score_exact Rules.score_residual_spread Rules.score_product_spread.
From Compact Require Import Rules.score_recursive_spread Rules.score_singular_value Rules.separable_counts.
From Compact Require Import Rules.direct_path_spread Rules.direct_path_centred_spread Rules.value_path_spread.
From Compact Require Import Rules.max_token_drop Rules.max_token_mean Rules.max_token_envelope Rules.attention_ranges Rules.gap_cells.
Import ListNotations.
Open Scope Z_scope.

Inductive rule :=
| Apply_enumerate_sequences (e bits : Z)
| Apply_branch_sequences (e bits : Z) (queries : list Z)
| Apply_pure_sequences (e bits : Z)
| Apply_direct_path_upper (e : Z)
| Apply_value_path_upper
| Apply_cubic_tokens (bits : Z)
| Apply_count_cubic
| Apply_score_exact
| Apply_score_residual_spread (projectors : list projector)
| Apply_score_product_spread (projectors bases : list projector) (mean : bool)
| Apply_score_recursive_spread (projectors : list projector) (means : nat)
| Apply_score_singular_value (projectors : list projector) (sigma e ridge ridge_e : Z) (witness : matrix)
| Apply_separable_counts (e bits : Z) (groups : list group)
| Apply_direct_path_spread
| Apply_direct_path_centred_spread (centre : matrix)
| Apply_value_path_spread
| Apply_max_token_drop
| Apply_max_token_mean (centres : matrix)
| Apply_max_token_envelope
| Apply_attention_ranges (bits : Z) (gaps : list (list (list Z)))
| Apply_gap_cells
| Apply_total.

(** A margin of its own, or that of the claim. *)
Record step := Step { applied : rule; at_margin : option fraction; premises : list Z; conclusion : fact }.

Definition derive (w : weights) (budget : Z) (margin : fraction) (r : rule) (facts : list fact) : outcome fact :=
  match r with
  | Apply_enumerate_sequences e bits =>
      require (Nat.eqb (length facts) 0) wrong_premises (enumerate_sequences w margin budget e bits)
  | Apply_branch_sequences e bits queries =>
      require (Nat.eqb (length facts) 0) wrong_premises (branch_sequences w margin budget e bits queries)
  | Apply_pure_sequences e bits => require (Nat.eqb (length facts) 0) wrong_premises (pure_sequences w margin e bits)
  | Apply_direct_path_upper e => require (Nat.eqb (length facts) 0) wrong_premises (direct_path_upper w margin e)
  | Apply_value_path_upper => require (Nat.eqb (length facts) 0) wrong_premises (value_path_upper w)
  | Apply_cubic_tokens bits =>
      match facts with
      | [Direct_path_upper direct; Value_path_upper value] => cubic_tokens w bits direct value
      | _ => Refused wrong_premises
      end
  | Apply_count_cubic => match facts with [Cubic_tokens masks] => count_cubic w masks | _ => Refused wrong_premises end
  | Apply_score_exact => require (Nat.eqb (length facts) 0) wrong_premises (score_exact w)
  | Apply_score_residual_spread projectors =>
      require (Nat.eqb (length facts) 0) wrong_premises (score_residual_spread w projectors)
  | Apply_score_product_spread projectors bases mean =>
      require (Nat.eqb (length facts) 0) wrong_premises (score_product_spread w projectors bases mean)
  | Apply_score_recursive_spread projectors means =>
      require (Nat.eqb (length facts) 0) wrong_premises (score_recursive_spread w projectors means)
  | Apply_score_singular_value projectors sigma e ridge ridge_e witness =>
      require (Nat.eqb (length facts) 0) wrong_premises (score_singular_value w projectors sigma e ridge ridge_e witness)
  | Apply_separable_counts e bits groups =>
      match facts with
      | [Score_approximation kept error] => separable_counts w margin budget e bits kept error groups
      | _ => Refused wrong_premises
      end
  | Apply_direct_path_spread => require (Nat.eqb (length facts) 0) wrong_premises (direct_path_spread w)
  | Apply_direct_path_centred_spread centre =>
      require (Nat.eqb (length facts) 0) wrong_premises (direct_path_centred_spread w centre)
  | Apply_value_path_spread => require (Nat.eqb (length facts) 0) wrong_premises (value_path_spread w)
  | Apply_max_token_drop =>
      match facts with [Direct_path_spread centre spread] => max_token_drop w centre spread | _ => Refused wrong_premises end
  | Apply_max_token_mean centres =>
      match facts with [Direct_path_spread centre spread] => max_token_mean w centres centre spread | _ => Refused wrong_premises end
  | Apply_max_token_envelope =>
      match facts with [Direct_path_spread centre spread] => max_token_envelope w centre spread | _ => Refused wrong_premises end
  | Apply_attention_ranges bits gaps =>
      match facts with
      | [Score_approximation kept error] => attention_ranges w bits gaps kept error
      | _ => Refused wrong_premises
      end
  | Apply_gap_cells =>
      match facts with
      | [Attention_ranges bits ranges; Max_token_path spread lines; Value_path_spread value] =>
          gap_cells w margin bits ranges spread lines value
      | _ => Refused wrong_premises
      end
  | Apply_total => total w facts
  end.

Definition prove (w : weights) (budget : Z) (margin : fraction) (proved : list (fraction * fact)) (s : step)
  : outcome (fraction * fact) :=
  let here := match at_margin s with None => margin | Some own => own end in
  require (0 <? snd here) wrong_margin
  match find_premises proved false here (premises s) with
  | Refused why => Refused why
  | Fine facts =>
      match derive w budget here (applied s) (map snd facts) with
      | Refused why => Refused why
      | Fine derived =>
          match entails derived (conclusion s) with Refused why => Refused why | Fine _ => Fine (here, conclusion s) end
      end
  end.

(** Verified, or why not, and at which step. *)
Inductive verdict := Verified | Not_verified (why : refusal) (at_step : option nat).

Fixpoint prove_all (w : weights) (budget : Z) (margin : fraction) (proved : list (fraction * fact)) (steps : list step)
  : list (fraction * fact) + (refusal * nat) :=
  match steps with
  | [] => inl proved
  | s :: rest =>
      match prove w budget margin proved s with
      | Refused why => inr (why, length proved)
      | Fine one => prove_all w budget margin (one :: proved) rest
      end
  end.

Definition check (w : weights) (budget : Z) (margin : fraction) (steps : list step) (right missed : Z) : verdict :=
  if negb (well_formed w) then Not_verified bad_weights None else
  match prove_all w budget margin [] steps with
  | inr (why, number) => Not_verified why (Some number)
  | inl [] => Not_verified nothing_proved None
  | inl ((its_margin, f) :: _) =>
      match f with
      | Accuracy _ _ =>
          if negb (same_margin its_margin margin) then Not_verified wrong_margin None else
          match entails f (Accuracy right missed) with Refused why => Not_verified why None | Fine _ => Verified end
      | _ => Not_verified nothing_proved None
      end
  end.

(** ** Soundness *)

Definition true_at (w : weights) (one : fraction * fact) : Prop := holds (model_of w) (value_of (fst one)) (snd one).

(** Premises of the kinds that a rule asks for, one by one. *)
Ltac take_premises all :=
  repeat match goal with
  | E : match ?facts with _ => _ end = Fine _ |- _ => destruct facts; try discriminate E
  end;
  repeat match goal with H : Forall _ (_ :: _) |- _ => inversion H; subst; clear H end.

Lemma derive_sound : forall w budget margin r facts f,
  well_formed w = true -> 0 < snd margin -> Forall (holds (model_of w) (value_of margin)) facts ->
  derive w budget margin r facts = Fine f -> holds (model_of w) (value_of margin) f.
Proof.
  intros w budget margin r facts f good positive all E.
  destruct r; cbn [derive] in E.
  - apply require_fine in E. destruct E as [_ E]. now apply enumerate_sequences_sound with (3 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply branch_sequences_sound with (3 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply pure_sequences_sound with (3 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply direct_path_upper_sound with (3 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply value_path_upper_sound with (2 := E).
  - take_premises all. now apply cubic_tokens_sound with (4 := E).
  - take_premises all. now apply count_cubic_sound with (3 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply score_exact_sound with (2 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply score_residual_spread_sound with (2 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply score_product_spread_sound with (2 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply score_recursive_spread_sound with (2 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply score_singular_value_sound with (2 := E).
  - take_premises all. now apply separable_counts_sound with (4 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply direct_path_spread_sound with (2 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply direct_path_centred_spread_sound with (2 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply value_path_spread_sound with (2 := E).
  - take_premises all. now apply max_token_drop_sound with (3 := E).
  - take_premises all. now apply max_token_mean_sound with (3 := E).
  - take_premises all. now apply max_token_envelope_sound with (3 := E).
  - take_premises all. now apply attention_ranges_sound with (3 := E).
  - take_premises all. now apply gap_cells_sound with (6 := E).
  - now apply total_sound with (2 := E).
Qed.

Lemma prove_sound : forall w budget margin proved s one, well_formed w = true -> Forall (true_at w) proved ->
  prove w budget margin proved s = Fine one -> true_at w one.
Proof.
  intros w budget margin proved s one good all E. unfold prove in E.
  set (here := match at_margin s with None => margin | Some own => own end) in *.
  apply require_fine in E. destruct E as [positive E]. apply Z.ltb_lt in positive.
  destruct (find_premises proved false here (premises s)) as [facts|] eqn:F; [|discriminate].
  apply (find_premises_sound _ (true_at w)) in F; [|exact all]. destruct F as [F1 F2].
  destruct (derive w budget here (applied s) (map snd facts)) as [derived|] eqn:D; [|discriminate].
  destruct (entails derived (conclusion s)) as [[]|] eqn:T; [|discriminate]. inversion E; subst.
  unfold true_at. cbn [fst snd]. apply entails_sound with (1 := T).
  apply derive_sound with (4 := D); auto. rewrite Forall_map. rewrite Forall_forall in *.
  intros one I. destruct (F2 one I) as [no|<-]; [discriminate | exact (F1 one I)].
Qed.

Lemma prove_all_sound : forall w budget margin steps proved all_proved, well_formed w = true -> Forall (true_at w) proved ->
  prove_all w budget margin proved steps = inl all_proved -> Forall (true_at w) all_proved.
Proof.
  intros w budget margin. induction steps as [|s rest IH]; intros proved all_proved good all E; cbn in E; [now inversion E; subst|].
  destruct (prove w budget margin proved s) as [one|] eqn:F; [|discriminate].
  apply IH with (3 := E); [assumption|]. constructor; [|assumption]. now apply prove_sound with (3 := F).
Qed.

Theorem check_sound : forall w budget margin steps right missed,
  check w budget margin steps right missed = Verified ->
  at_least right (correct (model_of w) (value_of margin)) /\ at_least missed (wrong (model_of w) (value_of margin)).
Proof.
  intros w budget margin steps right missed E. unfold check in E.
  destruct (well_formed w) eqn:good; [|discriminate]. cbn [negb] in E.
  destruct (prove_all w budget margin [] steps) as [proved|[]] eqn:F; [|discriminate].
  apply prove_all_sound in F; [|assumption|constructor].
  destruct proved as [|[its_margin f] proved]; [discriminate|].
  destruct f as [| | | |c n| | | | |] eqn:Ef; try discriminate.
  destruct (same_margin its_margin margin) eqn:same; [|discriminate]. apply same_margin_eq in same. subst its_margin.
  cbn [negb] in E. destruct (entails (Accuracy c n) (Accuracy right missed)) as [[]|] eqn:T; [|discriminate].
  inversion F as [|? ? H _]; subst. apply (entails_sound _ _ _ _ T). exact H.
Qed.
