(** CERTIFICATE.md, section 6, for rules about any problem: each step is derived from facts of earlier steps; the last
    fact must entail the claim. *)

From Coq Require Import Reals ZArith List Lia Arith Bool.
From Compact Require Import Spec.Model Spec.General Integer.Tables Facts Kernel Regions.Groups.
From Compact Require Import General.Problem General.Statements General.Total Rules.regions Rules.region_gaps Rules.region_counts Rules.evaluate_inputs.
Import ListNotations.
Open Scope Z_scope.

Inductive general_rule :=
| Apply_regions (bits : Z) (groups : list group) (hints : list (list (list Z)))
| Apply_region_gaps (hints : list (list (list Z)))
| Apply_region_counts (hints : list (list (list Z)))
| Apply_evaluate_inputs (precisions : list Z)
| Apply_total_of_weights.

(** A margin of its own, or that of the claim. *)
Record general_step := General_step { uses : general_rule; own_margin : option fraction; premise_numbers : list Z; concluded : statement }.

Section Steps.
Variables (w : layer_weights) (P : problem) (budget : Z) (margin : fraction).

Definition derive_statement (here : fraction) (r : general_rule) (facts : list statement) : outcome statement :=
  match r with
  | Apply_regions bits groups hints => require (Nat.eqb (length facts) 0) wrong_premises (regions w P bits groups hints)
  | Apply_region_gaps hints =>
      match facts with [Regions bits groups ranges] => region_gaps w P here bits groups ranges hints | _ => Refused wrong_premises end
  | Apply_region_counts hints =>
      match facts with [Region_gaps bits groups ranges gaps] => region_counts w P here budget bits groups ranges gaps hints | _ => Refused wrong_premises end
  | Apply_evaluate_inputs precisions => require (Nat.eqb (length facts) 0) wrong_premises (evaluate_inputs w P here budget precisions)
  | Apply_total_of_weights => total_of_weights w P facts
  end.

(** What the premises state, each at the margin of the step. [proved] holds the latest fact first. *)
Fixpoint find_premises (proved : list (fraction * statement)) (here : fraction) (numbers : list Z) : outcome (list statement) :=
  match numbers with
  | [] => Fine []
  | n :: rest =>
      require ((0 <=? n) && (n <? Z.of_nat (length proved))) bad_premise
      match nth_error proved (length proved - 1 - Z.to_nat n) with
      | None => Refused bad_premise
      | Some (its_margin, f) =>
          require (same_margin its_margin here) wrong_margin
          match find_premises proved here rest with Fine more => Fine (f :: more) | Refused why => Refused why end
      end
  end.

Definition prove_step (proved : list (fraction * statement)) (s : general_step) : outcome (fraction * statement) :=
  let here := match own_margin s with None => margin | Some own => own end in
  require (0 <? snd here) wrong_margin
  match find_premises proved here (premise_numbers s) with
  | Refused why => Refused why
  | Fine facts =>
      match derive_statement here (uses s) facts with
      | Refused why => Refused why
      | Fine derived =>
          match follows derived (concluded s) with Refused why => Refused why | Fine _ => Fine (here, concluded s) end
      end
  end.

Fixpoint prove_steps (proved : list (fraction * statement)) (steps : list general_step) : list (fraction * statement) + (refusal * nat) :=
  match steps with
  | [] => inl proved
  | s :: rest =>
      match prove_step proved s with
      | Refused why => inr (why, length proved)
      | Fine one => prove_steps (one :: proved) rest
      end
  end.

Definition check_general (steps : list general_step) (right missed : Z) : verdict :=
  if negb (problem_fits w P) then Not_verified bad_weights None else
  match prove_steps [] steps with
  | inr (why, number) => Not_verified why (Some number)
  | inl [] => Not_verified nothing_proved None
  | inl ((its_margin, f) :: _) =>
      match f with
      | Accuracy_of_weights _ _ =>
          if negb (same_margin its_margin margin) then Not_verified wrong_margin None else
          match follows f (Accuracy_of_weights right missed) with Refused why => Not_verified why None | Fine _ => Verified end
      | _ => Not_verified nothing_proved None
      end
  end.

(** ** Soundness *)

Hypothesis fits : problem_fits w P = true.

Definition meant (one : fraction * statement) : Prop := means w P (value_of (fst one)) (snd one).

Lemma derive_statement_sound : forall here r facts f, 0 < snd here -> Forall (means w P (value_of here)) facts ->
  derive_statement here r facts = Fine f -> means w P (value_of here) f.
Proof.
  intros here r facts f positive all E. destruct r; cbn [derive_statement] in E.
  - apply require_fine in E. destruct E as [_ E]. now apply regions_sound with (2 := E).
  - destruct facts as [|[bits groups ranges| | |] [|]]; try discriminate. inversion all as [|? ? H _]; subst. cbn [means] in H. destruct H as (B & G & ranged).
    now apply region_gaps_sound with (6 := E).
  - destruct facts as [|[|bits groups ranges gaps| |] [|]]; try discriminate. inversion all as [|? ? H _]; subst. cbn [means] in H. destruct H as (B & G & ranged & behind).
    now apply region_counts_sound with (7 := E).
  - apply require_fine in E. destruct E as [_ E]. now apply evaluate_inputs_sound with (3 := E).
  - now apply total_of_weights_sound with (2 := E).
Qed.

Lemma find_premises_sound : forall proved here numbers facts, Forall meant proved ->
  find_premises proved here numbers = Fine facts -> Forall (means w P (value_of here)) facts.
Proof.
  intros proved here. induction numbers as [|n rest IH]; intros facts all E; cbn [find_premises] in E; [inversion E; constructor|].
  apply require_fine in E. destruct E as [_ E].
  destruct (nth_error proved _) as [[its_margin f]|] eqn:F; [|discriminate].
  apply require_fine in E. destruct E as [same E]. apply same_margin_eq in same. subst its_margin.
  destruct (find_premises proved here rest) as [more|]; [|discriminate]. inversion E; subst.
  constructor; [|now apply IH]. apply nth_error_In in F. rewrite Forall_forall in all. exact (all _ F).
Qed.

Lemma prove_step_sound : forall proved s one, Forall meant proved -> prove_step proved s = Fine one -> meant one.
Proof.
  intros proved s one all E. unfold prove_step in E.
  set (here := match own_margin s with None => margin | Some own => own end) in *.
  apply require_fine in E. destruct E as [positive E]. apply Z.ltb_lt in positive.
  destruct (find_premises proved here (premise_numbers s)) as [facts|] eqn:F; [|discriminate].
  destruct (derive_statement here (uses s) facts) as [derived|] eqn:D; [|discriminate].
  destruct (follows derived (concluded s)) as [[]|] eqn:T; [|discriminate]. inversion E; subst.
  unfold meant. cbn [fst snd]. apply follows_sound with (1 := T). apply derive_statement_sound with (3 := D); [assumption|].
  now apply find_premises_sound with (2 := F).
Qed.

Lemma prove_steps_sound : forall steps proved all_proved, Forall meant proved -> prove_steps proved steps = inl all_proved -> Forall meant all_proved.
Proof.
  induction steps as [|s rest IH]; intros proved all_proved all E; cbn in E; [now inversion E; subst|].
  destruct (prove_step proved s) as [one|] eqn:F; [|discriminate].
  apply IH with (2 := E). constructor; [|assumption]. now apply prove_step_sound with (2 := F).
Qed.
End Steps.

Theorem check_general_sound : forall w P budget margin steps right missed, check_general w P budget margin steps right missed = Verified ->
  weigh_at_least P right (answered (layer_of w) P (value_of margin)) /\
  weigh_at_least P missed (fun x => ~ answered (layer_of w) P (value_of margin) x).
Proof.
  intros w P budget margin steps right missed E. unfold check_general in E.
  destruct (problem_fits w P) eqn:good; [|discriminate]. cbn [negb] in E.
  destruct (prove_steps w P budget margin [] steps) as [proved|[]] eqn:F; [|discriminate].
  apply prove_steps_sound in F; [|assumption|constructor].
  destruct proved as [|[its_margin f] proved]; [discriminate|].
  destruct f as [| | |c n] eqn:Ef; try discriminate.
  destruct (same_margin its_margin margin) eqn:same; [|discriminate]. apply same_margin_eq in same. subst its_margin.
  cbn [negb] in E. destruct (follows (Accuracy_of_weights c n) (Accuracy_of_weights right missed)) as [[]|] eqn:T; [|discriminate].
  inversion F as [|? ? H _]; subst. exact (follows_sound _ _ _ _ _ T H).
Qed.
